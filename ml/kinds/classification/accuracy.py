"""The metric of all classifiers. Light."""

from __future__ import annotations

from ml.evaluation.intervals import wilson
from ml.evaluation.records import Metric
from ml.evaluation.verdict import Rules
from ml.kinds.classification.base import Classification


def accuracy(correct: int, evaluated: int, samples: int, rules: Rules) -> Metric:
    """The share of the ``evaluated`` samples that were predicted right, with its confidence interval.

    Of ``samples`` in all, the others' predictions failed.
    """
    return Metric(
        name=Classification.metric,
        called=Classification.words.metric,
        value=correct / evaluated if evaluated else None,
        interval=wilson(correct, evaluated, rules.confidence),
        confidence=rules.confidence,
        threshold=rules.threshold,
        lowest=correct / samples if samples else None,
    )
