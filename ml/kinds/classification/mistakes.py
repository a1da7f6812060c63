"""The worst of many mistakes, in memory for no more than are kept."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappush, heappushpop, nlargest
from typing import NamedTuple

import msgspec
import numpy as np

from ml.evaluation.objects import Instance
from ml.evaluation.records import Mistake


class _Prediction(msgspec.Struct, gc=False):
    probabilities: list[float]


class _Line(msgspec.Struct, gc=False):
    prediction: _Prediction


class _InstanceLine(msgspec.Struct, gc=False):
    instance: Instance | None = None


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_instance = msgspec.json.Decoder(_InstanceLine).decode

#: More than rounding can change a probability.
_ROUNDING = 1e-6


def instance_of(line: bytes) -> Instance | None:
    """The instance of a prediction line, None for a line with a key in its place. Raises ``msgspec.DecodeError``."""
    return _decode_instance(line).instance


class _Candidate(NamedTuple):
    """In the order of mistakes: the most probable one is the largest, of equal ones that with the smallest key."""

    probability: float
    minus_key: int
    label: str
    predicted: str
    instance: Instance | None


class WorstMistakes:
    """The ``most`` wrong predictions that the model was most sure of; of equally sure ones, those of smaller key."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[_Candidate] = []

    def offer(self, key: int, label: str, predicted: str, line: bytes) -> None:
        """A wrong prediction with its line. Raises ``msgspec.DecodeError`` for a line without probabilities."""
        if not self._most:
            return
        probability = max(_decode_line(line).prediction.probabilities, default=0.0)
        full = len(self._heap) >= self._most
        if full and probability + _ROUNDING < self._heap[0].probability:
            return
        probability = _to_seven_decimals(probability)
        if full and (probability, -key) < self._heap[0][:2]:
            return
        candidate = _Candidate(probability, -key, label, predicted, instance_of(line))
        (heappushpop if full else heappush)(self._heap, candidate)

    def absorb(self, other: WorstMistakes) -> None:
        """Keeps the worst of both."""
        self._heap = nlargest(self._most, [*self._heap, *other._heap], key=_order)
        heapify(self._heap)

    def unnamed(self) -> list[int]:
        """The keys of those whose lines did not name the object."""
        return [-candidate.minus_key for candidate in self._heap if candidate.instance is None]

    def worst_first(self, named: Mapping[int, Instance]) -> list[Mistake]:
        """``named`` has the objects of the :meth:`unnamed` ones by key."""
        worst = []
        for probability, minus_key, label, predicted, instance in sorted(self._heap, key=_order, reverse=True):
            of = instance or named[-minus_key]
            worst.append(
                Mistake(
                    object=of.object,
                    generation=of.generation,
                    label=label,
                    predicted=predicted,
                    probability=probability,
                )
            )
        return worst


def _order(candidate: _Candidate) -> tuple[float, int]:
    return candidate.probability, candidate.minus_key


def _to_seven_decimals(probability: float) -> float:
    """As the local target writes it. Vertex AI writes the shortest text that gives the same float32."""
    return float(np.float32(probability).astype(np.float64).round(7))
