"""Joins predictions to the truth, in eight bytes for each sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt

from ml.evaluation.lines import Part
from ml.evaluation.objects import Instance
from ml.evaluation.records import Failure, Mistake
from ml.kinds.classification.mistakes import WorstMistakes, instance_of
from ml.labels import normal_label
from ml.prediction.job_files import KeyedError, KeyedLine, one_line

Ids = npt.NDArray[np.int32]

#: In ``Outcomes.truth``: an entry that was refused at the freeze.
REFUSED = -1
#: In ``Outcomes.predicted``: no line read yet; failed; a label that the release does not know; neither label nor error;
#: predicted or failed, and left out since it proves nothing.
AWAITED, FAILED, UNKNOWN, NEITHER, LEFT_OUT = -1, -2, -3, -4, -5

#: How many distinct ways of failing are told apart; the rest are counted together.
_FAILURES = 20


# Decoding skips what a class doesn't name, so the probabilities cost nothing until they are asked for.
class _Key(msgspec.Struct, gc=False):
    key: Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]


class _Label(msgspec.Struct, gc=False):
    label: str


class _Error(msgspec.Struct, gc=False):
    code: int = 2
    message: str = ""


class Line(msgspec.Struct, gc=False):
    """A line that names the sample's object. A job on Vertex AI writes :data:`LineOfJob` instead."""

    instance: _Key
    prediction: _Label | None = None
    error: _Error | None = None


LineOfJob = KeyedLine[_Label]
Lines = Part[Line] | Part[LineOfJob]


@dataclass(frozen=True)
class Outcomes:
    """A batch's samples with what became of each.

    ``labels`` are the names of the label ids: first the release's classes in their order (``classes`` of them), then
    the labels it has never seen, by first appearance. ``truth`` and ``predicted`` (one per manifest entry) hold label
    ids; ``truth`` is ``REFUSED`` for an entry that was refused, ``predicted`` is ``FAILED`` for a prediction that
    failed, and ``LEFT_OUT`` for a sample that is left out of everything else here.
    ``chosen`` are evenly spread samples that were predicted, for measuring the samples themselves.
    """

    labels: list[str]
    classes: int
    truth: Ids
    predicted: Ids
    failures: list[Failure]
    mistakes: list[Mistake]
    chosen: list[Instance]


class Misfit(Exception):  # noqa: N818 - caught where the line is known
    """A prediction that does not belong; ``position`` is its row in the part."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


class Join:
    """Joins prediction lines to the truth, part by part."""

    def __init__(
        self,
        labels: list[str],
        classes: int,
        truth: Ids,
        worst: int,
        choose: int,
        counted: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self.predicted: Ids = np.full(len(truth), AWAITED, np.int32)
        self._labels, self._classes, self._truth = labels, classes, truth
        first: dict[str, int] = {}
        # Classes of one form, which only a model from before labels had one tells apart: the first stands for all.
        self._ids = {
            label: first.setdefault(normal_label(label), number) for number, label in enumerate(labels[:classes])
        }
        self._failures: Counter[tuple[int, str]] = Counter()
        self._mistakes = WorstMistakes(worst)
        self._chosen: dict[int, Instance | None] = {}
        self._counted = np.ones(len(truth), np.bool_) if counted is None else counted
        usable = np.flatnonzero((truth != REFUSED) & self._counted)
        self._wanted = np.zeros(len(truth), np.bool_)
        self._wanted[usable[np.linspace(0, max(len(usable) - 1, 0), min(choose, len(usable)), dtype=int)]] = True

    def add(self, part: Lines) -> None:
        """Raises ``Misfit`` for the first line that does not belong, ``msgspec.DecodeError`` for a mistake without
        probabilities."""
        keys = np.array(_keys(part.rows), np.int64)
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
        counted = self._counted[keys]
        for position in np.flatnonzero(counted & (predicted == FAILED)).tolist():
            self._count_failure(*_failure(part.rows[position].error))
        for position in np.flatnonzero(self._wanted[keys] & (predicted >= 0)).tolist():
            self._chosen[int(keys[position])] = instance_of(part.line(position))
        truth = self._truth[keys]
        wrong = np.flatnonzero(counted & (predicted >= 0) & (predicted != truth))
        for position, key, label, given in zip(
            wrong.tolist(), keys[wrong].tolist(), truth[wrong].tolist(), predicted[wrong].tolist(), strict=True
        ):
            self._mistakes.offer(key, self._labels[label], self._labels[given], part.line(position))

    def absorb(self, other: Join) -> bool:
        """Adds what ``other`` read of the same batch; False, and nothing is changed, where both read one sample."""
        theirs = other.predicted != AWAITED
        if np.any(theirs & (self.predicted != AWAITED)):
            return False
        self.predicted[theirs] = other.predicted[theirs]
        for (code, message), count in other._failures.items():
            self._count_failure(code, message, count)
        self._mistakes.absorb(other._mistakes)
        self._chosen.update(other._chosen)
        return True

    @property
    def missing(self) -> int:
        """How many usable samples have no line yet."""
        return int(np.count_nonzero((self._truth != REFUSED) & (self.predicted == AWAITED)))

    def unnamed(self) -> set[int]:
        """The keys of the samples whose objects :meth:`outcomes` needs and no line named."""
        return {*(key for key, instance in self._chosen.items() if instance is None), *self._mistakes.unnamed()}

    def outcomes(self, named: Mapping[int, Instance]) -> Outcomes:
        """``named`` has the objects of the :meth:`unnamed` samples by key."""
        failures = sorted(self._failures.items(), key=lambda item: (-item[1], item[0]))
        return Outcomes(
            labels=self._labels,
            classes=self._classes,
            truth=self._truth,
            predicted=np.where(self._counted | (self._truth == REFUSED), self.predicted, np.int32(LEFT_OUT)),
            failures=[Failure(code=code, message=message, count=count) for (code, message), count in failures],
            mistakes=self._mistakes.worst_first(named),
            chosen=[self._chosen[key] or named[key] for key in sorted(self._chosen)],
        )

    def _check(self, part: Lines, keys: npt.NDArray[np.int64], predicted: Ids) -> None:
        foreign = (keys < 0) | (keys >= len(self._truth))
        inside = np.where(foreign, 0, keys) if len(self._truth) else keys[:0]
        if not foreign.all():
            foreign |= self._truth[inside] == REFUSED
        for position in np.flatnonzero(foreign).tolist()[:1]:
            raise Misfit(position, f"sample {keys[position]} is not in the batch's manifest, or was refused")
        repeated = self.predicted[keys] != AWAITED
        # Of a key that is twice in the part only its first position stays: cheaper than sorting the keys.
        positions = np.arange(len(keys), dtype=np.int32)
        self.predicted[keys[::-1]] = positions[::-1]
        repeated |= self.predicted[keys] != positions
        for position in np.flatnonzero(repeated).tolist()[:1]:
            raise Misfit(position, f"sample {keys[position]} has a prediction already")
        for position in np.flatnonzero(predicted <= UNKNOWN).tolist()[:1]:
            given = part.rows[position].prediction
            if given is None:
                raise Misfit(position, f"sample {keys[position]} has neither a prediction nor an error")
            raise Misfit(position, f"label {given.label!r} is not one of the release's classes")

    def _count_failure(self, code: int, message: str, count: int = 1) -> None:
        kind = (code, message)
        if kind not in self._failures and len(self._failures) >= _FAILURES:
            kind = (code, "other failures")
        self._failures[kind] += count


def _keys(rows: Sequence[Line] | Sequence[LineOfJob]) -> list[int]:
    if rows and isinstance(rows[0], KeyedLine):
        return [int(row.key) for row in rows]  # type: ignore[union-attr]
    return [row.instance.key for row in rows]  # type: ignore[union-attr]


def _failure(error: _Error | KeyedError | None) -> tuple[int, str]:
    if isinstance(error, KeyedError):
        return error.number, one_line(error.message)
    return (error.code, error.message) if error is not None else (2, "")
