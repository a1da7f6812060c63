"""How a classifier of images is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ml.kinds.images.encoded import UnusableImageError, decode_images, image_size
from ml.kinds.kind import Refused
from ml.prediction.lines import Answer


class ImageClassifierServing:
    """An ``ml.kinds.kind.Serving``."""

    input = "image_bytes"
    outputs = frozenset({"label", "probabilities"})

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels

    def refusal(self, data: bytes) -> Refused | None:
        try:
            image_size(data, self._max_pixels)
        except UnusableImageError as refusal:
            return Refused(refusal)
        return None

    def refusals(self, data: Sequence[bytes]) -> list[Refused | None]:
        decoded = (image for part in decode_images(data, self._max_pixels) for image in part)
        return [Refused(image) if isinstance(image, UnusableImageError) else None for image in decoded]

    def answers(self, outputs: Mapping[str, Any]) -> list[Any]:
        labels = outputs["label"].numpy().tolist()
        probabilities = outputs["probabilities"].numpy().astype("float64").round(7).tolist()
        return [Answer(label.decode(), shares) for label, shares in zip(labels, probabilities, strict=True)]
