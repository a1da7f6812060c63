"""What a classifier answers, in the order and with the names of Vertex AI's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

#: The outputs of ``serving_default`` that :func:`answers` needs: string[N] and float[N, classes].
OUTPUTS = frozenset({"label", "probabilities"})


class Answer(msgspec.Struct, frozen=True):
    """What the model says; ``probabilities`` in the order of the release's classes, to seven decimals."""

    label: str
    probabilities: list[float]


def answers(outputs: Mapping[str, Any]) -> list[Answer]:
    """One for each row of the outputs (eager tensors)."""
    labels = outputs["label"].numpy().tolist()
    probabilities = outputs["probabilities"].numpy().astype("float64").round(7).tolist()
    return [Answer(label.decode(), shares) for label, shares in zip(labels, probabilities, strict=True)]
