"""How a classifier of images is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml.kinds.classification.answers import OUTPUTS, Answer, answers
from ml.kinds.images.serving import ImageServing


class ImageClassifierServing(ImageServing):
    """An ``ml.kinds.kind.Serving``."""

    outputs = OUTPUTS

    def answers(self, outputs: Mapping[str, Any]) -> list[Answer]:
        return answers(outputs)
