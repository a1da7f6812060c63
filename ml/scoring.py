"""How good a released model is on a folder of labelled samples that no part of Respan has ever seen.

Nothing is written: the folder is no inbox, and the result is no verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from ml import releases
from ml.clutter import Clutter
from ml.errors import DataError, NotFoundError
from ml.evaluation.records import Interval
from ml.inbox import samples
from ml.kinds import kind_of
from ml.kinds.kind import Collected, Part
from ml.pairing import InboxSample, Pairing
from ml.prediction.served import ServedModel
from ml.records import Record
from ml.settings import Settings
from ml.storage import Storage
from ml.storage.local import LocalStorage

_LOT = 256


class FolderScore(Record):
    """What a released version makes of a folder.

    ``value`` is the kind's ``metric`` over all ``samples``: one that the model can't read (``failed``) counts as wrong.
    ``skipped`` are files that belong to no sample, ``ignored`` those that never do (``ml.clutter``). ``further`` are
    more metrics by name.
    """

    version: int
    samples: int
    failed: int
    skipped: int
    ignored: int = 0
    metric: str
    value: float = Field(ge=0, le=1)
    interval: Interval
    further: dict[str, float]


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
    release = releases.read_release(storage, version)
    kind = kind_of(settings)
    source = LocalStorage(folder.absolute())
    pairing, clutter = Pairing(kind.roles), Clutter()
    listed = list(samples(source, kind, pairing, clutter))
    whole = [sample for sample in listed if isinstance(sample.found, Part)]
    if not whole:
        raise DataError(f"{folder} holds no sample: lay it out like the inbox, {kind.layout}")
    model = ServedModel.of_release(storage, release.version, kind.serving(settings))
    scorer = kind.scorer(settings, release.classes)
    failed = 0
    for lot in _lots(whole):
        collected = [_read(source, sample) for sample in lot]
        answers = model.predict([sample.objects[0] for sample in collected])
        failed += sum(isinstance(answer, str) for answer in answers)
        scorer.add(collected, answers)
    metric = scorer.metric()
    if metric.value is None:
        raise DataError(f"no sample in {folder} could be compared: see the layout, {kind.layout}")
    return FolderScore(
        version=release.version,
        samples=len(whole),
        failed=failed,
        skipped=len(listed) - len(whole) + pairing.waiting,
        ignored=clutter.count,
        metric=metric.name,
        value=metric.value,
        interval=metric.interval,
        further=scorer.further(),
    )


def _read(source: Storage, sample: InboxSample) -> Collected:
    label = sample.found.label if isinstance(sample.found, Part) else None
    return Collected(tuple(source.read(info.name) for info in sample.objects), label)


def _lots(samples: list[InboxSample]) -> Iterator[list[InboxSample]]:
    for begin in range(0, len(samples), _LOT):
        yield samples[begin : begin + _LOT]
