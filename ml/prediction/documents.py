"""What batch prediction leaves beside its predictions. Light."""

from __future__ import annotations

import contextlib

from ml import layout
from ml.errors import NotFoundError
from ml.records import Record
from ml.storage import Storage


class Predictions(Record):
    """``batches/<id>/predictions.json``: which released version wrote ``predictions.jsonl`` beside it, and how many of
    its lines hold a prediction or an error. Written last: where it is, the predictions are complete."""

    version: int
    predicted: int
    failed: int


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


def _name(batch: str) -> str:
    return layout.batch(batch, layout.PREDICTIONS_RECORD)
