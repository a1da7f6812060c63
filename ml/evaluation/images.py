"""The images of a batch: their statistics for drift, and thumbnails of the worst mistakes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from ml import layout
from ml.errors import NotFoundError
from ml.evaluation.mistakes import Instance
from ml.evaluation.reference import Column
from ml.kinds.images.encoded import Pixels, UnusableImageError, decode_images
from ml.kinds.images.statistics import STATISTICS, statistics_rows
from ml.parallel import map_ahead
from ml.storage import Storage

#: Encoded images in memory at a time.
_PART = 32
#: Longest side of a thumbnail, in pixels; a smaller image is embedded as it is and enlarged by the page.
THUMBNAIL_SIDE = 96


def batch_statistics(storage: Storage, batch: str, samples: Sequence[Instance], max_pixels: int) -> dict[str, Column]:
    """Statistics of the samples' images as float32 columns by name, in the samples' order; empty without any image.

    A sample that vanished or can't be decoded any more is left out: it does not belong to the distribution. Memory does
    not grow with the number of samples.
    """
    parts = [
        statistics_rows([image for image in images if image is not None])
        for images in _decoded(storage, batch, samples, max_pixels)
        if any(image is not None for image in images)
    ]
    rows = np.concatenate(parts) if parts else np.empty((0, len(STATISTICS)), np.float32)
    return {name: rows[:, column] for column, name in enumerate(STATISTICS)} if len(rows) else {}


def thumbnails(storage: Storage, batch: str, samples: Sequence[Instance], max_pixels: int) -> list[bytes | None]:
    """A small PNG for each sample; None for one that vanished or can't be decoded."""
    return [
        None if image is None else _thumbnail(image)
        for images in _decoded(storage, batch, samples, max_pixels)
        for image in images
    ]


def _decoded(
    storage: Storage, batch: str, samples: Sequence[Instance], max_pixels: int
) -> Iterator[list[Pixels | None]]:
    for start in range(0, len(samples), _PART):
        part = samples[start : start + _PART]
        # No bytes stand for a sample that vanished; the decoder refuses them like any other broken image.
        encoded = list(map_ahead(lambda sample: _read(storage, batch, sample) or b"", part))
        for images in decode_images(encoded, max_pixels):
            yield [None if isinstance(image, UnusableImageError) else image for image in images]


def _read(storage: Storage, batch: str, sample: Instance) -> bytes | None:
    """The sample's bytes from the inbox or, once the batch is settled, from the archive; None where it vanished."""
    try:
        return storage.read(layout.inbox(sample.object), generation=sample.generation)
    except NotFoundError:
        pass
    try:
        return storage.read(layout.archived(batch, sample.object))
    except NotFoundError:
        return None


def _thumbnail(pixels: Pixels) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
