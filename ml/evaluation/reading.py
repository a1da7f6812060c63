"""Reads a batch's manifest and predictions, in one pass each, into eight bytes for each sample.

Predictions are joined to the manifest by ``instance.key``, the sample's index, so their order does not matter and only
this batch's files are read: ``predictions.jsonl``, or every ``prediction.results*`` and ``prediction.errors*`` file
below ``predictions/`` (a Vertex batch prediction job writes several).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt

from ml import layout
from ml.errors import DataError, NotFoundError
from ml.evaluation.lines import Part, decode_parts
from ml.evaluation.mistakes import Instance, WorstMistakes, instance_of
from ml.evaluation.records import Failure, Mistake
from ml.storage import Storage

Ids = npt.NDArray[np.int32]

#: In ``Outcomes.truth``: an entry that was refused at the freeze.
REFUSED = -1
#: In ``Outcomes.predicted``: no line read yet; failed; a label that the release does not know; neither label nor error.
AWAITED, FAILED, UNKNOWN, NEITHER = -1, -2, -3, -4

#: How many distinct ways of failing are told apart; the rest are counted together.
_FAILURES = 20


# Decoding skips what a class doesn't name, so the probabilities cost nothing until they are asked for.
class _Entry(msgspec.Struct, gc=False):
    index: int
    label: str | None = None
    refused: str | None = None


class _Key(msgspec.Struct, gc=False):
    key: Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]


class _Label(msgspec.Struct, gc=False):
    label: str


class _Error(msgspec.Struct, gc=False):
    code: int = 2
    message: str = ""


class _Line(msgspec.Struct, gc=False):
    instance: _Key
    prediction: _Label | None = None
    error: _Error | None = None


@dataclass(frozen=True)
class Outcomes:
    """A batch's samples with what became of each.

    ``labels`` are the names of the label ids: first the release's classes in their order (``classes`` of them), then
    the labels it has never seen, by first appearance. ``truth`` and ``predicted`` (one per manifest entry) hold label
    ids; ``truth`` is ``REFUSED`` for an entry that was refused, ``predicted`` is ``FAILED`` for a prediction that
    failed.
    ``chosen`` are evenly spread samples that were predicted, for measuring the images themselves.
    """

    labels: list[str]
    classes: int
    truth: Ids
    predicted: Ids
    failures: list[Failure]
    mistakes: list[Mistake]
    chosen: list[Instance]


def read_outcomes(
    storage: Storage, batch: str, classes: Sequence[str], *, worst: int = 24, choose: int = 2_000
) -> Outcomes:
    """Every prediction of ``batch`` beside its truth, with the ``worst`` mistakes (most probable first) and at most
    ``choose`` evenly spread samples.

    Raises ``NotFoundError`` where there is no manifest or no predictions, and ``DataError`` for predictions that are
    not exactly one for each usable entry of the manifest, or that name a label which the release does not know.
    """
    labels, truth = _read_truth(storage, batch, classes)
    join = _Join(labels, len(classes), truth, worst, choose)
    for name in prediction_files(storage, batch):
        for part in decode_parts(storage, name, _Line):
            try:
                join.add(part)
            except (_Misfit, msgspec.DecodeError) as error:
                number = f", line {part.number(error.position)}" if isinstance(error, _Misfit) else ""
                raise DataError(
                    f"{storage.uri(name)}{number}: {error}; run `predict` for batch {batch} again"
                ) from error
    missing, usable = int(np.count_nonzero((truth != REFUSED) & (join.predicted == AWAITED))), join.usable
    if missing:
        raise DataError(
            f"the predictions of batch {batch} are incomplete: {missing:,} of {usable:,} samples have none; "
            "run `predict` again"
        )
    return join.outcomes()


def prediction_files(storage: Storage, batch: str) -> list[str]:
    """The names of the files with the batch's predictions, sorted. Raises ``NotFoundError`` where there are none."""
    single = layout.batch(batch, layout.PREDICTIONS)
    if storage.exists(single):
        return [single]
    several = sorted(
        info.name
        for info in storage.list(layout.batch(batch, "predictions"))
        if info.name.rsplit("/", 1)[-1].startswith(("prediction.results", "prediction.errors"))
    )
    if not several:
        raise NotFoundError(f"batch {batch} has no predictions in {storage.root}: run `predict` first")
    return several


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


class _Misfit(Exception):  # noqa: N818 - never leaves this module
    """A prediction that does not belong; ``position`` is its row in the part."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


class _Join:
    """Joins prediction lines to the truth, part by part."""

    def __init__(self, labels: list[str], classes: int, truth: Ids, worst: int, choose: int) -> None:
        self.predicted: Ids = np.full(len(truth), AWAITED, np.int32)
        self._labels, self._classes, self._truth = labels, classes, truth
        self._ids = {label: number for number, label in enumerate(labels[:classes])}
        self._failures: Counter[tuple[int, str]] = Counter()
        self._mistakes = WorstMistakes(worst)
        self._chosen: dict[int, Instance] = {}
        usable = np.flatnonzero(truth != REFUSED)
        self.usable = len(usable)
        self._wanted = np.zeros(len(truth), np.bool_)
        self._wanted[usable[np.linspace(0, max(len(usable) - 1, 0), min(choose, len(usable)), dtype=int)]] = True

    def add(self, part: Part[_Line]) -> None:
        """Raises ``_Misfit`` for the first line that does not belong, ``msgspec.DecodeError`` for a mistake without
        probabilities."""
        keys = np.array([line.instance.key for line in part.rows], np.int64)
        find = self._ids.get
        predicted = np.array(
            [
                find(line.prediction.label, UNKNOWN)
                if line.prediction is not None
                else (FAILED if line.error is not None else NEITHER)
                for line in part.rows
            ],
            np.int32,
        )
        self._check(part, keys, predicted)
        self.predicted[keys] = predicted
        for position in np.flatnonzero(predicted == FAILED).tolist():
            self._count_failure(part.rows[position].error or _Error())
        for position in np.flatnonzero(self._wanted[keys] & (predicted >= 0)).tolist():
            self._chosen[int(keys[position])] = instance_of(part.line(position))
        truth = self._truth[keys]
        wrong = np.flatnonzero((predicted >= 0) & (predicted != truth))
        for position, key, label, given in zip(
            wrong.tolist(), keys[wrong].tolist(), truth[wrong].tolist(), predicted[wrong].tolist(), strict=True
        ):
            self._mistakes.offer(key, self._labels[label], self._labels[given], part.line(position))

    def outcomes(self) -> Outcomes:
        failures = sorted(self._failures.items(), key=lambda item: (-item[1], item[0]))
        return Outcomes(
            labels=self._labels,
            classes=self._classes,
            truth=self._truth,
            predicted=self.predicted,
            failures=[Failure(code=code, message=message, count=count) for (code, message), count in failures],
            mistakes=self._mistakes.worst_first(),
            chosen=[self._chosen[key] for key in sorted(self._chosen)],
        )

    def _check(self, part: Part[_Line], keys: npt.NDArray[np.int64], predicted: Ids) -> None:
        foreign = (keys < 0) | (keys >= len(self._truth))
        inside = np.where(foreign, 0, keys) if len(self._truth) else keys[:0]
        if not foreign.all():
            foreign |= self._truth[inside] == REFUSED
        for position in np.flatnonzero(foreign).tolist()[:1]:
            raise _Misfit(position, f"sample {keys[position]} is not in the batch's manifest, or was refused")
        repeated = self.predicted[keys] != AWAITED
        # Of a key that is twice in the part only its first position stays: cheaper than sorting the keys.
        positions = np.arange(len(keys), dtype=np.int32)
        self.predicted[keys[::-1]] = positions[::-1]
        repeated |= self.predicted[keys] != positions
        for position in np.flatnonzero(repeated).tolist()[:1]:
            raise _Misfit(position, f"sample {keys[position]} has a prediction already")
        for position in np.flatnonzero(predicted <= UNKNOWN).tolist()[:1]:
            given = part.rows[position].prediction
            if given is None:
                raise _Misfit(position, f"sample {keys[position]} has neither a prediction nor an error")
            raise _Misfit(position, f"label {given.label!r} is not one of the release's classes")

    def _count_failure(self, error: _Error) -> None:
        kind = (error.code, error.message)
        if kind not in self._failures and len(self._failures) >= _FAILURES:
            kind = (error.code, "other failures")
        self._failures[kind] += 1
