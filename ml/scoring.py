"""How good a released model is on a folder of labelled samples that no part of Respan has ever seen.

Nothing is written: the folder is no inbox, and the result is no verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from ml import releases
from ml.errors import DataError, NotFoundError
from ml.evaluation.intervals import wilson
from ml.evaluation.records import Interval
from ml.kinds import kind_of
from ml.kinds.classification.answers import Answer
from ml.kinds.kind import Part
from ml.prediction.served import ServedModel
from ml.records import Record
from ml.settings import Settings
from ml.storage import Storage
from ml.storage.local import LocalStorage

_LOT = 256


class FolderScore(Record):
    """What a released version makes of a folder.

    ``accuracy`` is ``correct`` over all ``samples``: one that the model can't read (``failed``) counts as wrong.
    ``skipped`` are files that aren't samples by their name.
    """

    version: int
    samples: int
    correct: int
    failed: int
    skipped: int
    accuracy: float = Field(ge=0, le=1)
    interval: Interval


def score_folder(
    storage: Storage,
    settings: Settings,
    folder: Path,
    version: int | None = None,
) -> FolderScore:
    """Scores the released ``version`` (default: the one that serves) on ``folder``, which is laid out like the inbox.

    Through the model's serving signature, as it answers in production. Raises ``NotFoundError`` where the folder,
    the version or any release is missing, and ``DataError`` where the folder holds no sample.
    """
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {folder}")
    if version is None:
        if (serving := releases.serving(storage)) is None:
            raise NotFoundError(f"{settings.name} has no release yet: train and release it first")
        version = serving.version
    version = releases.read_release(storage, version).version
    kind = kind_of(settings)
    source = LocalStorage(folder.absolute())
    named = [(info.name, kind.part_of(info.name)) for info in source.list()]
    samples = [(name, sample.label or "") for name, sample in named if isinstance(sample, Part)]
    if not samples:
        raise DataError(f"{folder} holds no sample: lay it out like the inbox, <label>/<id>.png")
    model = ServedModel(storage, version, kind.serving(settings))
    correct = failed = 0
    for lot in _lots(samples):
        answers = model.predict([source.read(name) for name, _ in lot])
        for (_, label), answer in zip(lot, answers, strict=True):
            failed += not isinstance(answer, Answer)
            correct += isinstance(answer, Answer) and answer.label == label
    return FolderScore(
        version=version,
        samples=len(samples),
        correct=correct,
        failed=failed,
        skipped=len(named) - len(samples),
        accuracy=correct / len(samples),
        interval=wilson(correct, len(samples), settings.evaluation.confidence),
    )


def _lots(samples: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    for begin in range(0, len(samples), _LOT):
        yield samples[begin : begin + _LOT]
