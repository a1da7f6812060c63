"""How models on images are asked, whatever they answer."""

from __future__ import annotations

from collections.abc import Sequence

from ml.kinds.images.encoded import UnusableImageError, decode_images, image_size
from ml.kinds.images.orientation import UPRIGHT, orientation_of
from ml.kinds.kind import Refused


class ImageServing:
    """The part of an ``ml.kinds.kind.Serving`` that is the same for every kind on images."""

    input = "image_bytes"

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels

    def refusal(self, data: bytes) -> Refused | None:
        """By the header: before the graph decodes it, since a small file may claim gigabytes."""
        try:
            image_size(data, self._max_pixels)
        except UnusableImageError as reason:
            return Refused(reason)
        return None

    def refusals(self, data: Sequence[bytes]) -> list[Refused | None]:
        """By decoding each, as the graph does."""
        return [
            Refused(image) if isinstance(image, UnusableImageError) else None
            for part in decode_images(data, self._max_pixels)
            for image in part
        ]

    def memory(self, data: bytes) -> int:
        """Of the decoded image: a byte for each channel, and two copies of it while it is turned."""
        height, width = image_size(data, self._max_pixels)
        return 3 * height * width * (1 if orientation_of(data) == UPRIGHT else 3)
