"""What the evaluation asks of a kind of model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ml.evaluation.known import Known
    from ml.evaluation.records import ClassScore, Counts, Failure, Metric, WorstCase
    from ml.evaluation.reference import Distributions
    from ml.kinds.kind import Collected
    from ml.records import ReleaseRecord
    from ml.storage import Storage


@dataclass(frozen=True)
class Judgement:
    """What a batch's predictions say of the release; for most of it see ``ml.evaluation.records.EvaluationReport``.

    ``found`` are the batch's distributions. ``known`` says which samples were left out of all of it, since they prove
    nothing; None if nobody looked.
    """

    metric: Metric
    further: dict[str, float]
    counts: Counts
    classes: list[ClassScore]
    confusion: dict[str, dict[str, int]]
    failures: list[Failure]
    worst: Sequence[WorstCase]
    found: Distributions
    known: Known | None = None


@dataclass(frozen=True)
class Picture:
    """One picture of a case: a PNG, None where there is none any more, and what it shows (empty: the sample)."""

    png: bytes | None
    caption: str = ""


@dataclass(frozen=True)
class Case:
    """One of the worst cases as the report shows it, with no picture, one, or several side by side.

    ``truth`` and ``predicted`` are empty where one word can't say. ``score``, from 0 to 1: where they say it the
    probability that the model gave, else the kind's metric of this sample alone.
    """

    object: str
    pictures: Sequence[Picture]
    score: float
    truth: str = ""
    predicted: str = ""


class Judge(Protocol):
    """Compares predictions with the truth, for one pipeline."""

    def judge(self, storage: Storage, batch: str, release: ReleaseRecord) -> Judgement:
        """Raises ``NotFoundError`` where there is no manifest or no predictions, and ``DataError`` for predictions that
        are not exactly one for each usable sample, or don't fit the release."""

    def reference(self, columns: Mapping[str, npt.NDArray[np.generic]], predicted: dict[str, float]) -> Distributions:
        """The distributions of a window: ``columns`` of all its samples (``label``, ``split`` and the inspector's), and
        what the release predicted on its eval split (see ``ml.evaluation.reference.ReferencePredictions``).

        Drift of labels is tested, and can lead to DRIFTED, only if both sides' ``evidence`` says what amounts are.
        """

    def cases(self, storage: Storage, batch: str, worst: Sequence[WorstCase]) -> list[Case]:
        """One for each of the worst, with its pictures; what has vanished has none."""


class Scorer(Protocol):
    """Adds up how good answers are."""

    def add(self, samples: Sequence[Collected], answers: Sequence[Any | str]) -> None:
        """Samples with the answers to them, or why there is none."""

    def metric(self) -> Metric:
        """Of all that was added; an answer that is missing counts as wrong. Its value is None for nothing at all."""

    def further(self) -> dict[str, float]:
        """More metrics by name, from 0 to 1."""
