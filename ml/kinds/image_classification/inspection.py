"""What span preparation needs to know of each sample: whether it decodes, what it shows, and what it is like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ml.kinds.image_classification.images import UnusableImageError, content_hash, decode_images
from ml.kinds.image_classification.statistics import STATISTICS, statistics_rows


class Inspected(NamedTuple):
    """``content`` is the 32 bytes of the content hash; ``statistics`` the float32 values of :data:`STATISTICS`."""

    content: bytes
    statistics: bytes


def inspect(encoded: Sequence[bytes], max_pixels: int) -> Iterator[Inspected | str]:
    """For each sample in order, what it shows, or why it can't be used. Safe to call from several threads."""
    for part in decode_images(encoded, max_pixels):
        images = [image for image in part if not isinstance(image, UnusableImageError)]
        rows = iter(statistics_rows(images))
        for image in part:
            if isinstance(image, UnusableImageError):
                yield str(image)
            else:
                yield Inspected(bytes.fromhex(content_hash(image)), next(rows).tobytes())


def statistics_columns(rows: Sequence[bytes]) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Rows of :class:`Inspected` as named float32 columns."""
    table = np.frombuffer(b"".join(rows), np.float32).reshape(len(rows), len(STATISTICS))
    return {name: table[:, position] for position, name in enumerate(STATISTICS)}
