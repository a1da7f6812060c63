"""How good a classifier's answers are on labelled samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ml.evaluation.records import Metric
from ml.evaluation.verdict import Rules
from ml.kinds.classification.accuracy import accuracy
from ml.kinds.kind import Collected
from ml.labels import normal_label


class LabelScorer:
    """An ``ml.evaluation.judging.Scorer``: counts right labels."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._samples = 0
        self._correct = 0

    def add(self, samples: Sequence[Collected], answers: Sequence[Any | str]) -> None:
        self._samples += len(samples)
        for sample, answer in zip(samples, answers, strict=True):
            self._correct += not isinstance(answer, str) and normal_label(answer.label) == sample.label

    def metric(self) -> Metric:
        return accuracy(self._correct, self._samples, self._samples, self._rules)

    def further(self) -> dict[str, float]:
        return {}
