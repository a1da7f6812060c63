"""``batches/<id>/evaluation.json``: what an evaluation found. Light: Airflow's operators and UI read it too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from ml.labels import normal_label
from ml.records import Record, Verdict


class Interval(Record):
    """A confidence interval of a share, both ends included."""

    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"the interval's low end {self.low} is above its high end {self.high}")
        return self

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


class Metric(Record):
    """The number that the verdict rests on, such as accuracy, the share of evaluated samples that were predicted right.

    ``called`` is the name within a sentence. ``value`` is None where nothing was evaluated. ``lowest`` is what it would
    be, were every failed prediction a mistake; None where that can't be told.
    """

    name: str
    called: str
    value: float | None = Field(None, ge=0, le=1)
    interval: Interval
    confidence: float = Field(gt=0, lt=1, description="Level of the interval, such as 0.95")
    threshold: float = Field(ge=0, le=1)
    lowest: float | None = Field(None, ge=0, le=1)

    @property
    def title(self) -> str:
        """The name where a sentence begins."""
        return self.called[:1].upper() + self.called[1:]

    @property
    def is_significant(self) -> bool:
        """Whether the interval lies wholly on one side of the threshold."""
        return self.value is not None and self.threshold not in self.interval


class Counts(Record):
    """The batch's samples: ``samples`` usable ones at the freeze = ``evaluated`` (``correct`` of them) + ``failed`` +
    those that prove nothing (see ``known.Standing``): ``copies``, ``trained`` and ``contradicted``.

    ``correct`` is None where a prediction is more or less right. ``unseen`` of the evaluated ones have a label that the
    release was not trained on: each is a mistake. ``refused`` samples were found unusable at the freeze and are not
    among ``samples``.
    """

    samples: int = Field(ge=0)
    evaluated: int = Field(ge=0)
    correct: int | None = Field(None, ge=0)
    failed: int = Field(ge=0)
    unseen: int = Field(0, ge=0)
    refused: int = Field(ge=0)
    copies: int = Field(0, ge=0)
    trained: int = Field(0, ge=0)
    contradicted: int = Field(0, ge=0)

    @property
    def left_out(self) -> int:
        """How many samples prove nothing."""
        return self.copies + self.trained + self.contradicted

    @property
    def counted(self) -> int:
        """How many samples were to be evaluated."""
        return self.evaluated + self.failed

    def share(self, count: int) -> float:
        """``count`` as a share of the samples."""
        return count / self.samples if self.samples else 0.0

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.samples != self.counted + self.left_out or (self.correct or 0) + self.unseen > self.evaluated:
            raise ValueError(f"the counts do not add up: {self!r}")
        return self


class Failure(Record):
    """Predictions that failed in the same way; ``code`` is a google.rpc code, ``message`` that of the first one."""

    code: int
    message: str
    count: int = Field(ge=1)


class ClassScore(Record):
    """How well the release does on one true label. ``seen``: whether the release knows it.

    ``count``, ``correct`` and ``failed`` are in the report's unit (samples, or pixels, say); ``share`` is of all that
    was evaluated. ``score`` is a classifier's accuracy on the label, or another measure from 0 to 1; without an
    ``interval`` it isn't told how sure it is. ``priority`` is (human level − score) × share: where better data would
    gain most. ``score``, ``gap`` and ``priority`` are None where nothing of the label was evaluated.
    """

    label: str
    seen: bool
    count: int = Field(ge=0)
    correct: int = Field(ge=0)
    failed: int = Field(0, ge=0)
    share: float = Field(ge=0, le=1)
    interval: Interval | None = None
    human_level: float
    score: float | None = Field(None, ge=0, le=1)
    gap: float | None = None
    priority: float | None = None

    @classmethod
    def against_people(
        cls, human_level: Mapping[str, float] | float, *, label: str, score: float | None, share: float, **counted: Any
    ) -> Self:
        """The score with its gap to people's, which is given over all or by label (1 for a label not in it)."""
        if isinstance(human_level, Mapping):
            by_form = {normal_label(key): level for key, level in human_level.items()}
            people = by_form.get(normal_label(label), 1.0)
        else:
            people = human_level
        gap = None if score is None else people - score
        priority = None if gap is None else gap * share
        return cls(label=label, score=score, share=share, human_level=people, gap=gap, priority=priority, **counted)


class DriftDistance(str, Enum):
    """How far two distributions are apart, from 0 (equal) to 1.

    L-infinity: the largest difference of one value's shares. Jensen-Shannon: the divergence to base 2.
    """

    L_INFINITY = "L-infinity"
    JENSEN_SHANNON = "Jensen-Shannon"


#: More than rounding can add to a distance: the shares 0.8 and 0.5 are 0.30000000000000004 apart.
_ROUNDING = 1e-9


class Drift(Record):
    """How far the batch's ``feature`` is from the training window. Without a ``limit`` it is reported, not judged.

    ``p_value``: how often chance alone gives this distance, or more, to ``samples`` and ``window_samples`` of one
    distribution; None where that can't be computed. ``significant``: whether that is rare enough at the rate
    ``evaluation.drift_false_alarms``, which holds for all that have a limit together; None in reports of earlier
    versions, in which the limit decided alone.
    """

    feature: str
    distance: DriftDistance
    value: float = Field(ge=0)
    limit: float | None = None
    p_value: float | None = Field(None, ge=0, le=1)
    significant: bool | None = None
    samples: int | None = None
    window_samples: int | None = None

    @property
    def is_large(self) -> bool:
        """Whether the distance is above its limit, be it by chance or not."""
        return self.limit is not None and self.value > self.limit + _ROUNDING

    @property
    def exceeded(self) -> bool:
        """Whether it is drift: above its limit, and by more than chance."""
        return self.is_large and self.significant is not False


class WorstCase(Record):
    """One of the predictions to look at first: the sample, by its first object."""

    object: str
    generation: str


class Mistake(WorstCase):
    """A wrong label, and how sure the model was: ``probability`` of the label it predicted."""

    label: str
    predicted: str
    probability: float


class PoorMask(WorstCase):
    """A mask far from the true one: ``mean_iou`` of this image alone."""

    mean_iou: float = Field(ge=0, le=1)


class LeftOut(Record):
    """A sample that proves nothing, and why."""

    object: str
    reason: str


class EvaluationReport(Record):
    """The evaluation of release ``version`` on one batch.

    ``reasons`` tell the verdict in words, the deciding one first. ``further`` are more metrics by name, from 0 to 1,
    reported and not judged. ``classes`` and ``confusion`` (true label → predicted label → count, zeros left out) count
    in ``unit``. ``left_out`` names the first of the samples that prove nothing; ``batches/<id>/left_out.jsonl`` names
    all. ``inputs`` identifies what was evaluated and by which settings: a retry with the same finds this report and
    leaves it.

    Version 1 of the schema, of classifiers only, isn't read any more: its batch is evaluated anew if need be.
    """

    pipeline: str
    batch: str
    version: int
    window: list[int]
    created: datetime
    inputs: str
    verdict: Verdict
    reasons: list[str] = Field(min_length=1)
    metric: Metric
    further: dict[str, Annotated[float, Field(ge=0, le=1)]]
    counts: Counts
    unit: str
    classes: list[ClassScore]
    confusion: dict[str, dict[str, int]]
    drift: list[Drift]
    failures: list[Failure]
    worst: list[Mistake | PoorMask | WorstCase]
    left_out: list[LeftOut] = Field(default_factory=list)
    schema_version: Literal[2] = 2
