"""Where the predictions of a batch are."""

from __future__ import annotations

from pydantic import ValidationError

from ml import layout
from ml.errors import DataError, NotFoundError
from ml.prediction.documents import Predictions, read_predictions
from ml.prediction.job_files import result_files
from ml.storage import Storage


def finished_predictions(storage: Storage, batch: str) -> Predictions:
    """The record of the batch's predictions. Raises ``NotFoundError`` where they are not finished, and ``DataError``
    where the record is damaged."""
    try:
        predictions = read_predictions(storage, batch)
    except ValidationError as error:
        raise DataError(f"the record of the predictions of batch {batch} is damaged: run `predict` again") from error
    if predictions is None:
        raise NotFoundError(f"batch {batch} has no finished predictions in {storage.root}: run `predict` first")
    return predictions


def prediction_files(storage: Storage, batch: str) -> list[str]:
    """The names of the files with the batch's predictions: ``predictions.jsonl`` and, where a job on Vertex AI
    predicted, the ``prediction.results*`` files in the one folder that the record of the predictions names.

    Raises ``NotFoundError`` where one of them is missing.
    """
    own = layout.batch(batch, layout.PREDICTIONS)
    if not storage.exists(own):
        raise NotFoundError(f"batch {batch} has no predictions in {storage.root}: run `predict` first")
    record = read_predictions(storage, batch)
    return [own] if record is None or record.folder is None else [own, *result_files(storage, record.folder)]
