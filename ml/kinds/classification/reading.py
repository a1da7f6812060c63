"""Reads a batch's manifest and predictions, in one pass each.

Predictions are joined to the manifest by their key, the sample's index, so their order does not matter. Only this
batch's files are read.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from ml import layout
from ml.errors import DataError
from ml.evaluation.forked import in_a_fork
from ml.evaluation.lines import decode_parts
from ml.evaluation.objects import Instance
from ml.evaluation.predictions import prediction_files
from ml.kinds.classification.join import REFUSED, Ids, Join, Line, LineOfJob, Lines, Misfit, Outcomes
from ml.labels import normal_label
from ml.storage import Storage

#: Bytes from which a second process saves more time than it takes to start.
_WORTH_TWO = 1 << 24

T = TypeVar("T")


class _Entry(msgspec.Struct, gc=False):
    index: int
    label: str | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class _Entries:
    """Consecutive entries of a manifest. ``labels`` are the distinct ones by first appearance, None for the refused;
    ``numbers`` has a position in them for each entry."""

    indices: range
    labels: list[str | None]
    numbers: Ids


def read_outcomes(
    storage: Storage,
    batch: str,
    classes: Sequence[str],
    *,
    worst: int = 24,
    choose: int = 2_000,
    counted: npt.NDArray[np.bool_] | None = None,
) -> Outcomes:
    """Every prediction of ``batch`` beside its truth, with the ``worst`` mistakes (most probable first) and at most
    ``choose`` evenly spread samples. Of those that aren't ``counted`` (one for each entry of the manifest; default: all
    are) it is checked only that they are predicted.

    Raises ``NotFoundError`` where there is no manifest or no predictions, and ``DataError`` for predictions that are
    not exactly one for each usable entry of the manifest, or that name a label which the release does not know.
    """
    labels, truth = _read_truth(storage, batch, classes)
    files = prediction_files(storage, batch)

    def begin() -> Join:
        return Join(labels, len(classes), truth, worst, choose, counted)

    join = _read_both_halves(storage, files, begin) or _read_in_order(storage, batch, files, begin())
    if join.missing:
        usable = int(np.count_nonzero(truth != REFUSED))
        raise DataError(
            f"the predictions of batch {batch} are incomplete: {join.missing:,} of {usable:,} samples have none; "
            "run `predict` again"
        )
    unnamed = join.unnamed()
    return join.outcomes(_read_instances(storage, batch, unnamed) if unnamed else {})


def _read_truth(storage: Storage, batch: str, classes: Sequence[str]) -> tuple[list[str], Ids]:
    name = layout.batch(batch, layout.MANIFEST)

    def read(reaches: Mapping[str, range]) -> _Entries | None:
        with contextlib.suppress(DataError):
            return _read_entries(storage, name, reaches[name])
        return None

    ids: dict[str, int] = {}
    for number, label in enumerate(classes):
        ids.setdefault(normal_label(label), number)
    names = list(classes)
    parts: list[Ids] = []
    known = 0
    for entries in _in_two(storage, [name], read) or [_read_entries(storage, name)]:
        if entries.indices != range(known, known + len(entries.numbers)):
            raise _misnumbered(storage, name)
        known += len(entries.numbers)
        its_ids = [REFUSED if label is None else _id_of(normal_label(label), ids, names) for label in entries.labels]
        parts.append(np.array(its_ids, np.int32)[entries.numbers])
    return names, np.concatenate(parts)


def _id_of(label: str, ids: dict[str, int], names: list[str]) -> int:
    """The label's position in ``names``, to which it is added where it is new; ``ids`` finds it by its one form."""
    if label not in ids:
        ids[label] = len(names)
        names.append(label)
    return ids[label]


def _read_entries(storage: Storage, name: str, reach: range | None = None) -> _Entries:
    """Raises ``DataError`` where they are not numbered one by one."""
    first = following = 0
    positions: dict[str | None, int] = {}
    parts = [np.empty(0, np.int32)]
    for part in decode_parts(storage, name, _Entry, reach):
        indices = [entry.index for entry in part.rows]
        if first == following and indices:
            first = following = indices[0]
        if indices != list(range(following, following + len(indices))):
            raise _misnumbered(storage, name)
        following += len(indices)
        labels = [entry.label if entry.refused is None else None for entry in part.rows]
        for label in dict.fromkeys(labels):
            positions.setdefault(label, len(positions))
        parts.append(np.fromiter(map(positions.__getitem__, labels), np.int32, len(labels)))
    return _Entries(range(first, following), list(positions), np.concatenate(parts))


def _misnumbered(storage: Storage, name: str) -> DataError:
    return DataError(f"{storage.uri(name)}: the entries are not numbered from 0, one by one")


def _read_instances(storage: Storage, batch: str, keys: Set[int]) -> dict[int, Instance]:
    """The objects of these samples, from the manifest."""
    found: dict[int, Instance] = {}
    ordered = sorted(keys, reverse=True)
    first = 0
    for part in decode_parts(storage, layout.batch(batch, layout.MANIFEST), Instance):
        while ordered and ordered[-1] < first + len(part.rows):
            key = ordered.pop()
            found[key] = part.rows[key - first]
        if not ordered:
            break
        first += len(part.rows)
    return found


def _read_lines(storage: Storage, name: str, reach: range | None = None) -> Iterator[Lines]:
    if name.endswith(f"/{layout.PREDICTIONS}"):
        yield from decode_parts(storage, name, Line, reach)
    else:
        yield from decode_parts(storage, name, LineOfJob, reach)


def _read_in_order(storage: Storage, batch: str, files: list[str], join: Join) -> Join:
    for name in files:
        for part in _read_lines(storage, name):
            try:
                join.add(part)
            except (Misfit, msgspec.DecodeError) as error:
                number = f", line {part.number(error.position)}" if isinstance(error, Misfit) else ""
                raise DataError(
                    f"{storage.uri(name)}{number}: {error}; run `predict` for batch {batch} again"
                ) from error
    return join


def _read_both_halves(storage: Storage, files: list[str], begin: Callable[[], Join]) -> Join | None:
    """None where :func:`_in_two` gives none, or both halves predict one sample."""

    def read(reaches: Mapping[str, range]) -> Join | None:
        join = begin()
        try:
            for name, reach in reaches.items():
                for part in _read_lines(storage, name, reach):
                    join.add(part)
        except (Misfit, msgspec.DecodeError, DataError):
            return None
        return join

    first, other = _in_two(storage, files, read) or (None, None)
    return first if first is not None and other is not None and first.absorb(other) else None


def _in_two(storage: Storage, files: list[str], read: Callable[[Mapping[str, range]], T | None]) -> tuple[T, T] | None:
    """What ``read`` makes of the first half of each file and, in a forked child meanwhile, of the second.

    None where that isn't worth it or possible, or where ``read`` gives None since anything is wrong: reading the files
    in order then tells what, and in which line.
    """
    if not storage.root.startswith("file:") or (os.cpu_count() or 1) < 2:
        return None
    sizes = {name: storage.stat(name).size for name in files}
    if sum(sizes.values()) < _WORTH_TWO:
        return None
    result = in_a_fork(lambda: read({name: range(size // 2, size) for name, size in sizes.items()}))
    first, other = read({name: range(size // 2) for name, size in sizes.items()}), result()
    return None if first is None or other is None else (first, other)
