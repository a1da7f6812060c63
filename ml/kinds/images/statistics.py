"""Simple statistics of an image, on which drift of the pictures themselves is measured.

All sums are taken in whole numbers, so an image has the same statistics alone and among others, on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

#: Values looked at in one step; bounds the memory that the statistics of a large image need.
_STRIP = 1 << 20
#: So many squares of a byte add up in 32 bits, which is twice as fast as in 64.
_SUMMED = 1 << 16


@dataclass(frozen=True, slots=True)
class ImageStatistics:
    """``width`` and ``height`` in pixels; the others between 0 and 1.

    ``brightness`` is the mean of all channels' values, ``contrast`` their standard deviation, ``saturation`` the mean
    distance between a pixel's largest and smallest channel, ``sharpness`` the mean distance between horizontal
    neighbours.
    """

    width: float
    height: float
    brightness: float
    contrast: float
    saturation: float
    sharpness: float


STATISTICS = tuple(field.name for field in fields(ImageStatistics))


def statistics_rows(images: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
    """float32 [images, statistics], in the order of :data:`STATISTICS`, of uint8 [height, width, 3] images."""
    rows = np.empty((len(images), len(STATISTICS)), np.float32)
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for position, image in enumerate(images):
        by_shape.setdefault(image.shape, []).append(position)
    for positions in by_shape.values():
        same = images[positions[0]][None] if len(positions) == 1 else np.stack([images[p] for p in positions])
        rows[positions] = _rows_of_one_shape(same)
    return rows


def _rows_of_one_shape(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    count, height, width, channels = images.shape
    total, squares, spread, steps = (np.zeros(count, np.int64) for _ in range(4))
    strip = max(1, min(_STRIP // count, _SUMMED) // (width * channels))
    whole = np.uint32 if strip * width * channels <= _SUMMED else np.int64
    for top in range(0, height, strip):
        part = images[:, top : top + strip]
        flat = part.reshape(count, -1)
        total += flat.sum(axis=1, dtype=whole)
        squares += np.square(flat, dtype=np.uint16).sum(axis=1, dtype=whole)  # 255² fits
        # Of three neighbours each, which is fast; every third time they are one pixel's channels.
        one, two, three = flat[:, :-2], flat[:, 1:-1], flat[:, 2:]
        largest, smallest = np.maximum(one, two), np.minimum(one, two)
        np.maximum(largest, three, out=largest)
        np.minimum(smallest, three, out=smallest)
        spread += (largest - smallest)[:, ::channels].sum(axis=1, dtype=whole)
        left, right = part[:, :, :-1], part[:, :, 1:]
        steps += (np.maximum(left, right) - np.minimum(left, right)).sum(axis=(1, 2, 3), dtype=whole)
    values = height * width * channels
    mean = total / values
    variance = np.maximum(squares / values - mean**2, 0)
    neighbours = max(1, height * (width - 1) * channels)
    columns = (
        np.full(count, width),
        np.full(count, height),
        mean / 255,
        np.sqrt(variance) / 255,
        spread / (height * width * 255),
        steps / (neighbours * 255),
    )
    return np.stack(columns, axis=1).astype(np.float64)
