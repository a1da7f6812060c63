"""Counts right and wrong predictions, over all and for each class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ml.evaluation.intervals import wilson
from ml.evaluation.records import ClassScore, Counts
from ml.kinds.classification.join import FAILED, REFUSED, Outcomes

#: Samples counted in one step.
_PART = 1 << 16

#: For each true label the predicted ones with their counts; zeros left out.
Confusion = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Scores:
    """``classes`` are in the order of ``Outcomes.labels``, without those that the batch has none of."""

    counts: Counts
    confusion: Confusion
    classes: list[ClassScore]

    @property
    def correct(self) -> int:
        """How many evaluated samples were predicted right."""
        return sum(one.correct for one in self.classes)

    @property
    def labels(self) -> dict[str, float]:
        """How many evaluated samples have each label."""
        return {score.label: score.count for score in self.classes if score.count}

    @property
    def predicted(self) -> dict[str, float]:
        """How often each label was predicted."""
        totals: dict[str, float] = {}
        for row in self.confusion.values():
            for label, count in row.items():
                totals[label] = totals.get(label, 0) + count
        return totals


def score(outcomes: Outcomes, confidence: float, human_level: Mapping[str, float] | float) -> Scores:
    """Counts the outcomes. ``human_level``: people's accuracy, over all or by label (1 for a label not in it)."""
    failed = outcomes.predicted == FAILED
    confusion = _confusion(outcomes)
    failed_by_label = np.bincount(outcomes.truth[failed], minlength=len(outcomes.labels))
    total = int(np.count_nonzero(outcomes.predicted >= 0))
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


def _confusion(outcomes: Outcomes) -> Confusion:
    # One number for each pair of true and predicted label, counted by sorting: a full matrix of 10,000 classes would
    # take 800 MB, nearly all of it zeros. Part by part, so that the sorted copies stay small.
    width = max(outcomes.classes, 1)
    totals: Counter[int] = Counter()
    for start in range(0, len(outcomes.truth), _PART):
        truth, predicted = outcomes.truth[start : start + _PART], outcomes.predicted[start : start + _PART]
        evaluated = predicted >= 0
        pairs, counts = np.unique(truth[evaluated].astype(np.int64) * width + predicted[evaluated], return_counts=True)
        totals.update(dict(zip(pairs.tolist(), counts.tolist(), strict=True)))
    confusion: Confusion = {}
    for pair, count in sorted(totals.items()):
        truth_id, predicted_id = divmod(pair, width)
        confusion.setdefault(outcomes.labels[truth_id], {})[outcomes.labels[predicted_id]] = count
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
    return ClassScore.against_people(
        human_level,
        label=label,
        seen=seen,
        count=count,
        correct=correct,
        failed=failed,
        share=count / total if total else 0.0,
        interval=wilson(correct, count, confidence),
        score=correct / count if count else None,
    )
