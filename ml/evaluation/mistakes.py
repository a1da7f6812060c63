"""The worst of many mistakes, in memory for no more than are kept."""

from __future__ import annotations

from heapq import heapify, heappush, heappushpop, nlargest

import msgspec

from ml.evaluation.records import Mistake


class _Prediction(msgspec.Struct, gc=False):
    probabilities: list[float]


class _Line(msgspec.Struct, gc=False):
    prediction: _Prediction


class Instance(msgspec.Struct, gc=False):
    """Which object a prediction is of: its name relative to the inbox, and its generation."""

    object: str
    generation: str


class _InstanceLine(msgspec.Struct, gc=False):
    instance: Instance


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_instance = msgspec.json.Decoder(_InstanceLine).decode


def instance_of(line: bytes) -> Instance:
    """The instance of a prediction line. Raises ``msgspec.DecodeError`` for a line without one."""
    return _decode_instance(line).instance


class WorstMistakes:
    """The ``most`` wrong predictions that the model was most sure of; of equally sure ones, those of smaller key."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[tuple[float, int, Mistake]] = []

    def offer(self, key: int, label: str, predicted: str, line: bytes) -> None:
        """A wrong prediction with its line. Raises ``msgspec.DecodeError`` for a line without probabilities."""
        if not self._most:
            return
        probability = max(_decode_line(line).prediction.probabilities, default=0.0)
        full = len(self._heap) >= self._most
        if full and (probability, -key) < self._heap[0][:2]:
            return
        instance = instance_of(line)
        mistake = Mistake(
            object=instance.object,
            generation=instance.generation,
            label=label,
            predicted=predicted,
            probability=probability,
        )
        (heappushpop if full else heappush)(self._heap, (probability, -key, mistake))

    def absorb(self, other: WorstMistakes) -> None:
        """Keeps the worst of both."""
        self._heap = nlargest(self._most, [*self._heap, *other._heap], key=lambda kept: kept[:2])
        heapify(self._heap)

    def worst_first(self) -> list[Mistake]:
        return [mistake for *_, mistake in sorted(self._heap, key=lambda kept: kept[:2], reverse=True)]
