"""Counts right and wrong predictions, over all and for each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ml.evaluation.intervals import wilson
from ml.evaluation.reading import FAILED, REFUSED, Outcomes
from ml.evaluation.records import ClassScore, Counts

#: For each true label the predicted ones with their counts; zeros left out.
Confusion = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Scores:
    """``classes`` are in the order of ``Outcomes.labels``, without those that the batch has none of."""

    counts: Counts
    confusion: Confusion
    classes: list[ClassScore]

    @property
    def labels(self) -> dict[str, int]:
        """How many evaluated samples have each label."""
        return {score.label: score.count for score in self.classes if score.count}

    @property
    def predicted(self) -> dict[str, int]:
        """How often each label was predicted."""
        totals: dict[str, int] = {}
        for row in self.confusion.values():
            for label, count in row.items():
                totals[label] = totals.get(label, 0) + count
        return totals


def score(outcomes: Outcomes, confidence: float, human_level: Mapping[str, float] | float) -> Scores:
    """Counts the outcomes. ``human_level``: people's accuracy, over all or by label (1 for a label not in it)."""
    evaluated = outcomes.predicted >= 0
    failed = outcomes.predicted == FAILED
    confusion = _confusion(outcomes, evaluated)
    failed_by_label = np.bincount(outcomes.truth[failed], minlength=len(outcomes.labels))
    total = int(np.count_nonzero(evaluated))
    classes = [
        _class_score(
            label, number < outcomes.classes, confusion.get(label, {}), int(failed_by_label[number]), total,
            confidence, human_level,
        )
        for number, label in enumerate(outcomes.labels)
        if label in confusion or failed_by_label[number]
    ]  # fmt: skip
    counts = Counts(
        samples=total + int(np.count_nonzero(failed)),
        evaluated=total,
        correct=sum(one.correct for one in classes),
        failed=int(np.count_nonzero(failed)),
        unseen=sum(one.count for one in classes if not one.seen),
        refused=int(np.count_nonzero(outcomes.truth == REFUSED)),
    )
    return Scores(counts, confusion, classes)


def _confusion(outcomes: Outcomes, evaluated: np.typing.NDArray[np.bool_]) -> Confusion:
    # One number for each pair of true and predicted label. Counted by sorting: a full matrix of 10,000 classes would
    # take 800 MB, and nearly all of it zeros.
    width = max(outcomes.classes, 1)
    pairs = outcomes.truth[evaluated].astype(np.int64) * width + outcomes.predicted[evaluated]
    confusion: Confusion = {}
    for pair, count in zip(*(column.tolist() for column in np.unique(pairs, return_counts=True)), strict=True):
        truth, predicted = divmod(pair, width)
        confusion.setdefault(outcomes.labels[truth], {})[outcomes.labels[predicted]] = count
    return confusion


def _class_score(
    label: str,
    seen: bool,
    row: dict[str, int],
    failed: int,
    total: int,
    confidence: float,
    human_level: Mapping[str, float] | float,
) -> ClassScore:
    count, correct = sum(row.values()), row.get(label, 0)
    people = human_level.get(label, 1.0) if isinstance(human_level, Mapping) else human_level
    accuracy = correct / count if count else None
    share = count / total if total else 0.0
    gap = None if accuracy is None else people - accuracy
    return ClassScore(
        label=label,
        seen=seen,
        count=count,
        correct=correct,
        failed=failed,
        share=share,
        interval=wilson(correct, count, confidence),
        human_level=people,
        accuracy=accuracy,
        gap=gap,
        priority=None if gap is None else gap * share,
    )
