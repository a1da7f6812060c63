"""How good a released model is on a folder of labelled samples that no part of Respan has ever seen.

Nothing is written: the folder is no inbox, and the result is no verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import Field

from ml import releases
from ml.errors import DataError, NotFoundError
from ml.evaluation.records import Interval
from ml.kinds import kind_of
from ml.kinds.kind import Collected, Kind, Part
from ml.prediction.served import ServedModel
from ml.records import Record
from ml.settings import Settings
from ml.storage import Storage
from ml.storage.local import LocalStorage

_LOT = 256


class FolderScore(Record):
    """What a released version makes of a folder.

    ``value`` is the kind's ``metric`` over all ``samples``: one that the model can't read (``failed``) counts as wrong.
    ``skipped`` are files that belong to no sample. ``further`` are more metrics by name.
    """

    version: int
    samples: int
    failed: int
    skipped: int
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
    names = [info.name for info in source.list()]
    samples = _whole_samples(kind, names)
    if not samples:
        raise DataError(f"{folder} holds no sample: lay it out like the inbox, {kind.layout}")
    model = ServedModel(storage, release.version, max_pixels=settings.data.max_sample_pixels)
    scorer = kind.scorer(settings, release.classes)
    failed = 0
    for lot in _lots(samples):
        collected = [Collected(tuple(source.read(part) for part in parts), label) for parts, label in lot]
        answers = model.predict([sample.objects[0] for sample in collected])
        failed += sum(isinstance(answer, str) for answer in answers)
        scorer.add(collected, answers)
    metric = scorer.metric()
    if metric.value is None:
        raise DataError(f"no sample in {folder} could be compared: see the layout, {kind.layout}")
    return FolderScore(
        version=release.version,
        samples=len(samples),
        failed=failed,
        skipped=len(names) - sum(len(parts) for parts, _ in samples),
        metric=metric.name,
        value=metric.value,
        interval=metric.interval,
        further=scorer.further(),
    )


#: The names of a sample's objects in the order of the kind's roles, and the label of its name.
_Named = tuple[Sequence[str], str | None]


def _whole_samples(kind: Kind, names: Iterable[str]) -> list[_Named]:
    """Those of which there is an object in each role."""
    found: dict[str, dict[str, tuple[str, str | None]]] = {}
    for name in names:
        part = kind.part_of(name)
        if isinstance(part, Part):
            found.setdefault(part.sample, {})[part.role] = name, part.label
    whole = (parts for parts in found.values() if len(parts) == len(kind.roles))
    first = next(iter(kind.roles))
    return [([parts[role][0] for role in kind.roles], parts[first][1]) for parts in whole]


def _lots(samples: list[_Named]) -> Iterator[list[_Named]]:
    for begin in range(0, len(samples), _LOT):
        yield samples[begin : begin + _LOT]
