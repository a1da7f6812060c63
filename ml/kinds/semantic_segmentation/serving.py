"""How a segmenter is asked, and what it answers, in the order and with the names of Vertex AI's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ml.kinds.images.encoded import image_size
from ml.kinds.images.serving import ImageServing
from ml.settings import Settings

MASK = "mask_bytes"

#: Bytes that each pixel of an image takes in the model: decoded, its mask, and two probabilities compared.
_BYTES_PER_PIXEL = 16


class Encoded(msgspec.Struct, frozen=True):
    """Bytes, in base64 where they are written."""

    b64: bytes


class Answer(msgspec.Struct, frozen=True):
    """What the model says: the mask as a PNG of class ids, each class's share of its area in the order of the release's
    classes, and the mean probability of what it says; both to seven decimals."""

    mask_bytes: Encoded
    class_shares: list[float]
    confidence: float


class SegmentationServing(ImageServing):
    """An ``ml.kinds.kind.Serving``."""

    outputs = frozenset({MASK, "class_shares", "confidence"})

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.data.max_sample_pixels)

    def memory(self, data: bytes) -> int:
        height, width = image_size(data, self._max_pixels)
        return _BYTES_PER_PIXEL * height * width

    def answers(self, outputs: Mapping[str, Any]) -> list[Answer]:
        masks = outputs[MASK].numpy().tolist()
        shares = outputs["class_shares"].numpy().astype("float64").round(7).tolist()
        confidences = outputs["confidence"].numpy().astype("float64").round(7).tolist()
        return [
            Answer(Encoded(mask), share, sure) for mask, share, sure in zip(masks, shares, confidences, strict=True)
        ]
