"""Reads a batch's manifest and predictions, in one pass each.

Predictions are joined to the manifest by their key, the sample's index, so their order does not matter. Only this
batch's files are read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence, Set

import msgspec
import numpy as np

from ml import layout
from ml.errors import DataError
from ml.evaluation.forked import in_a_fork
from ml.evaluation.lines import decode_parts
from ml.evaluation.objects import Instance
from ml.evaluation.predictions import prediction_files
from ml.kinds.classification.join import REFUSED, Ids, Join, Line, LineOfJob, Lines, Misfit, Outcomes
from ml.storage import Storage

#: Bytes of predictions from which a second process saves more time than it takes to start.
_WORTH_TWO = 1 << 24


class _Entry(msgspec.Struct, gc=False):
    index: int
    label: str | None = None
    refused: str | None = None


def read_outcomes(
    storage: Storage, batch: str, classes: Sequence[str], *, worst: int = 24, choose: int = 2_000
) -> Outcomes:
    """Every prediction of ``batch`` beside its truth, with the ``worst`` mistakes (most probable first) and at most
    ``choose`` evenly spread samples.

    Raises ``NotFoundError`` where there is no manifest or no predictions, and ``DataError`` for predictions that are
    not exactly one for each usable entry of the manifest, or that name a label which the release does not know.
    """
    labels, truth = _read_truth(storage, batch, classes)
    files = prediction_files(storage, batch)

    def begin() -> Join:
        return Join(labels, len(classes), truth, worst, choose)

    join = _read_in_two(storage, files, begin) or _read_in_order(storage, batch, files, begin())
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
    ids = {label: number for number, label in enumerate(classes)}
    parts: list[Ids] = []
    read = 0
    for part in decode_parts(storage, name, _Entry):
        if [entry.index for entry in part.rows] != list(range(read, read + len(part.rows))):
            raise DataError(f"{storage.uri(name)}: the entries are not numbered from 0, one by one")
        read += len(part.rows)
        truth = [
            REFUSED if entry.label is None or entry.refused is not None else ids.setdefault(entry.label, len(ids))
            for entry in part.rows
        ]
        parts.append(np.array(truth, np.int32))
    return list(ids), np.concatenate(parts) if parts else np.empty(0, np.int32)


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


def _read_in_two(storage: Storage, files: list[str], begin: Callable[[], Join]) -> Join | None:
    """The second half of each file read by a forked child meanwhile; None where that isn't worth it or possible, or
    where anything is wrong with the predictions: reading them in order then tells what, and in which line."""
    sizes = {name: storage.stat(name).size for name in files}
    if not storage.root.startswith("file:") or sum(sizes.values()) < _WORTH_TWO or (os.cpu_count() or 1) < 2:
        return None

    def read(second: bool) -> Join | None:
        join = begin()
        try:
            for name, size in sizes.items():
                reach = range(size // 2, size) if second else range(size // 2)
                for part in _read_lines(storage, name, reach):
                    join.add(part)
        except (Misfit, msgspec.DecodeError, DataError):
            return None
        return join

    result = in_a_fork(lambda: read(second=True))
    first, other = read(second=False), result()
    return first if first is not None and other is not None and first.absorb(other) else None
