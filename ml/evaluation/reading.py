"""Reads a batch's manifest and predictions, in one pass each, into a few bytes for each sample.

Predictions are joined to the manifest by ``instance.key``, the sample's index, so their order does not matter and only
this batch's files are read: ``predictions.jsonl``, or every ``prediction.results*`` and ``prediction.errors*`` file
below ``predictions/`` (a Vertex batch prediction job writes several).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappush, heappushpop

import msgspec
import numpy as np
import numpy.typing as npt

from ml import layout
from ml.errors import DataError, NotFoundError
from ml.evaluation.records import Failure, Mistake
from ml.storage import Storage

#: In ``Outcomes.truth``: an entry that was refused at the freeze. In ``Outcomes.predicted``: no line read yet; failed.
REFUSED = -1
AWAITED = -1
FAILED = -2

#: How many distinct ways of failing are told apart; the rest are counted together.
_FAILURES = 20


class _Entry(msgspec.Struct, gc=False):
    index: int
    label: str | None = None
    refused: str | None = None


class _Instance(msgspec.Struct, gc=False):
    key: int


class _Prediction(msgspec.Struct, gc=False):
    label: str


class _Error(msgspec.Struct, gc=False):
    code: int = 2
    message: str = ""


class _Line(msgspec.Struct, gc=False):
    instance: _Instance
    prediction: _Prediction | None = None
    error: _Error | None = None


class _NamedInstance(msgspec.Struct, gc=False):
    object: str
    generation: str


class _Probabilities(msgspec.Struct, gc=False):
    probabilities: list[float]


class _Detail(msgspec.Struct, gc=False):
    instance: _NamedInstance
    prediction: _Probabilities


# Decoding skips what a class doesn't name, so the many probabilities cost nothing unless they are asked for.
_decode_entry = msgspec.json.Decoder(_Entry).decode
_decode_line = msgspec.json.Decoder(_Line).decode
_decode_detail = msgspec.json.Decoder(_Detail).decode


@dataclass(frozen=True)
class Sample:
    """Where a sample's object is: its name relative to the inbox, and its generation."""

    object: str
    generation: str


@dataclass(frozen=True)
class Outcomes:
    """A batch's samples with what became of each.

    ``labels`` are the names of the label ids: first the release's classes in their order, then the labels it has never
    seen, sorted by first appearance. ``truth`` and ``predicted`` (int32, one per manifest entry) hold label ids;
    ``truth`` is ``REFUSED`` for an entry that was refused, and ``predicted`` ``FAILED`` for a prediction that failed.
    ``chosen`` are evenly spread samples that were predicted, for measuring the images themselves.
    """

    labels: list[str]
    classes: int
    truth: npt.NDArray[np.int32]
    predicted: npt.NDArray[np.int32]
    failures: list[Failure]
    mistakes: list[Mistake]
    chosen: list[Sample]


@dataclass
class _Truth:
    labels: list[str]
    ids: dict[str, int]
    truth: array[int] = field(default_factory=lambda: array("i"))


def read_outcomes(
    storage: Storage, batch: str, classes: list[str], *, worst: int = 24, choose: int = 2_000
) -> Outcomes:
    """Every prediction of ``batch`` beside its truth, with the ``worst`` mistakes (most probable first) and at most
    ``choose`` evenly spread samples.

    Raises ``NotFoundError`` where there is no manifest or no predictions, and ``DataError`` for predictions that are
    not exactly one for each usable entry of the manifest, or that name a label which the release does not know.
    """
    known = _read_truth(storage, batch, classes)
    reader = _PredictionsReader(batch, known, classes, worst, choose)
    for name in prediction_files(storage, batch):
        reader.read(storage, name)
    return reader.outcomes()


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


def _read_truth(storage: Storage, batch: str, classes: list[str]) -> _Truth:
    known = _Truth(list(classes), {label: number for number, label in enumerate(classes)})
    name = layout.batch(batch, layout.MANIFEST)
    labels, ids, append = known.labels, known.ids, known.truth.append
    for number, line in enumerate(_lines(storage, name)):
        try:
            entry = _decode_entry(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{storage.uri(name)}, line {number + 1}, is not a manifest entry: {error}") from error
        if entry.index != number:
            raise DataError(f"{storage.uri(name)}, line {number + 1}, has index {entry.index} instead of {number}")
        if entry.label is None or entry.refused is not None:
            append(REFUSED)
            continue
        identifier = ids.get(entry.label)
        if identifier is None:
            identifier = ids[entry.label] = len(labels)
            labels.append(entry.label)
        append(identifier)
    return known


class _PredictionsReader:
    """Joins prediction lines to the truth; keeps the worst mistakes in a bounded heap."""

    def __init__(self, batch: str, known: _Truth, classes: list[str], worst: int, choose: int) -> None:
        self._batch, self._labels, self._classes, self._worst = batch, known.labels, len(classes), worst
        self._ids = {label: number for number, label in enumerate(classes)}
        self._truth = known.truth
        self._predicted = array("i", [AWAITED]) * len(known.truth)
        self._failures: dict[tuple[int, str], int] = {}
        self._mistakes: list[tuple[float, int, Mistake]] = []
        self._chosen: dict[int, Sample] = {}
        usable = np.flatnonzero(_view(known.truth) != REFUSED)
        self._wanted = bytearray(len(known.truth))
        for index in usable[np.linspace(0, max(len(usable) - 1, 0), min(choose, len(usable)), dtype=int)]:
            self._wanted[index] = 1

    def read(self, storage: Storage, name: str) -> None:
        truth, predicted, wanted, ids, entries = self._truth, self._predicted, self._wanted, self._ids, len(self._truth)
        for number, line in enumerate(_lines(storage, name), 1):
            try:
                parsed = _decode_line(line)
                key = parsed.instance.key
                if not 0 <= key < entries or truth[key] == REFUSED:
                    raise DataError(f"sample {key} is not in the batch's manifest, or was refused")
                if predicted[key] != AWAITED:
                    raise DataError(f"sample {key} has a prediction already")
                if parsed.prediction is None:
                    self._fail(key, parsed.error)
                    continue
                label = ids.get(parsed.prediction.label)
                if label is None:
                    raise DataError(f"label {parsed.prediction.label!r} is not one of the release's classes")
                predicted[key] = label
                if label != truth[key] or wanted[key]:
                    self._keep(key, _decode_detail(line))
            except (DataError, msgspec.DecodeError, UnicodeDecodeError) as error:
                if not line.strip():
                    continue
                raise DataError(
                    f"{storage.uri(name)}, line {number}: {error}; run `predict` for batch {self._batch} again"
                ) from error

    def outcomes(self) -> Outcomes:
        truth, predicted = _view(self._truth), _view(self._predicted)
        missing = int(np.count_nonzero((truth != REFUSED) & (predicted == AWAITED)))
        if missing:
            usable = int(np.count_nonzero(truth != REFUSED))
            raise DataError(
                f"the predictions of batch {self._batch} are incomplete: {missing:,} of {usable:,} samples have none; "
                "run `predict` again"
            )
        return Outcomes(
            labels=self._labels,
            classes=self._classes,
            truth=truth,
            predicted=predicted,
            failures=[
                Failure(code=code, message=message, count=count)
                for (code, message), count in sorted(self._failures.items(), key=lambda item: (-item[1], item[0]))
            ],
            mistakes=[mistake for *_, mistake in sorted(self._mistakes, key=lambda kept: kept[:2], reverse=True)],
            chosen=[sample for _, sample in sorted(self._chosen.items(), key=lambda item: item[0])],
        )

    def _fail(self, key: int, error: _Error | None) -> None:
        if error is None:
            raise DataError(f"sample {key} has neither a prediction nor an error")
        self._predicted[key] = FAILED
        kind = (error.code, error.message)
        if kind not in self._failures and len(self._failures) >= _FAILURES:
            kind = (error.code, "other failures")
        self._failures[kind] = self._failures.get(kind, 0) + 1

    def _keep(self, key: int, detail: _Detail) -> None:
        if self._wanted[key]:
            self._chosen[key] = Sample(detail.instance.object, detail.instance.generation)
        if self._predicted[key] == self._truth[key] or not self._worst:
            return
        probability = max(detail.prediction.probabilities, default=0.0)
        rank = (probability, -key)
        full = len(self._mistakes) >= self._worst
        if full and rank < self._mistakes[0][:2]:
            return
        mistake = Mistake(
            object=detail.instance.object,
            generation=detail.instance.generation,
            label=self._labels[self._truth[key]],
            predicted=self._labels[self._predicted[key]],
            probability=probability,
        )
        (heappushpop if full else heappush)(self._mistakes, (*rank, mistake))


def _view(numbers: array[int]) -> npt.NDArray[np.int32]:
    """The array's own memory, not a copy."""
    return np.frombuffer(numbers, np.int32) if numbers else np.empty(0, np.int32)


def _lines(storage: Storage, name: str) -> Iterator[bytes]:
    with storage.open(name) as stream:
        yield from stream
