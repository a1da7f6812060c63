"""What batch prediction leaves beside its predictions. Light."""

from __future__ import annotations

import contextlib

from ml import layout
from ml.errors import NotFoundError
from ml.records import Record
from ml.storage import Storage


class Predictions(Record):
    """``batches/<id>/predictions.json``: which released version's predictions the batch has, and how many of them hold
    a prediction or an error. Written last: where it is, the predictions are complete.

    The lines are in ``predictions.jsonl`` beside it. Where a job on Vertex AI predicted, ``folder`` names (below the
    pipeline's storage) the folder with its files, and ``predictions.jsonl`` has the lines of those samples only that
    the job gave none for.
    """

    version: int
    predicted: int
    failed: int
    folder: str | None = None


class Instances(Record):
    """``batches/<id>/instances/<version>/instances.json``: the batch as a job on Vertex AI reads it.

    ``samples`` lines in ``files`` (names within the folder), and ``refused`` lines with an error in ``refused.jsonl``.
    Written last: where it is, they are complete.
    """

    version: int
    samples: int
    refused: int
    files: list[str]


def read_predictions(storage: Storage, batch: str) -> Predictions | None:
    """The record of the batch's predictions; None where there are none, or they aren't finished."""
    try:
        return Predictions.from_json(storage.read(_name(batch)))
    except NotFoundError:
        return None


def write_predictions(storage: Storage, batch: str, predictions: Predictions) -> None:
    storage.write(_name(batch), predictions.to_json())


def forget_predictions(storage: Storage, batch: str) -> None:
    """Before another version's predictions replace the batch's: a crash in between must not leave the old record beside
    the new lines."""
    with contextlib.suppress(NotFoundError):
        storage.delete(_name(batch))


def read_instances(storage: Storage, batch: str, version: int) -> Instances | None:
    """The record of the batch's instances for ``version``; None where they aren't finished."""
    try:
        return Instances.from_json(storage.read(instances_folder(batch, version) + "/instances.json"))
    except NotFoundError:
        return None


def write_instances_record(storage: Storage, batch: str, instances: Instances) -> None:
    storage.write(instances_folder(batch, instances.version) + "/instances.json", instances.to_json())


def instances_folder(batch: str, version: int) -> str:
    """Where a job on Vertex AI that predicts with ``version`` finds the batch."""
    return layout.batch(batch, f"{layout.INSTANCES}/{version}")


def refused_instances(batch: str, version: int) -> str:
    """The lines of the samples that no such job is given."""
    return instances_folder(batch, version) + "/refused.jsonl"


def prediction_folder(batch: str, version: int) -> str:
    """Where each such job makes a folder of its own for its predictions."""
    return layout.batch(batch, f"{layout.PREDICTION_FILES}/{version}")


def _name(batch: str) -> str:
    return layout.batch(batch, layout.PREDICTIONS_RECORD)
