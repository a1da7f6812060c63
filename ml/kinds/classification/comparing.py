"""Compares the labels that two classifiers predict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from ml.comparison.evidence import Evidence, of_answers
from ml.kinds.classification.examples import LABEL
from ml.kinds.kind import Refused


class LabelComparer:
    """An ``ml.comparison.comparer.Comparer``; examples with a label in ``ignored`` are left out."""

    def __init__(self, collected: str, ignored: Collection[str]) -> None:
        self.collected = collected
        self._ignored = frozenset(ignored)
        self._right: Counter[tuple[bool, bool]] = Counter()

    def add(self, example: Any, candidate: Any | Refused, champion: Any | Refused) -> None:
        [label] = (value.decode() for value in example.features.feature[LABEL].bytes_list.value)
        if label not in self._ignored:
            self._right[_is(candidate, label), _is(champion, label)] += 1

    def evidence(self, max_loss: float, error_rate: float) -> Evidence | None:
        return of_answers(
            both=self._right[True, True],
            only_candidate=self._right[True, False],
            only_champion=self._right[False, True],
            neither=self._right[False, False],
            max_loss=max_loss,
            error_rate=error_rate,
        )


def _is(answer: Any | Refused, label: str) -> bool:
    return not isinstance(answer, Refused) and answer.label == label
