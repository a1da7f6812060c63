"""What span preparation needs to know of each sample: whether it decodes, what it shows, and what it is like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ml.kinds import kind
from ml.kinds.image_classification.examples import encode_example
from ml.kinds.images.encoded import (
    Encoded,
    UnusableImageError,
    content_digest,
    decode_part,
    in_parts,
)
from ml.kinds.images.statistics import STATISTICS, statistics_rows
from ml.parallel import map_ahead


class ImageInspector:
    """An ``ml.kinds.kind.Inspector`` of labelled images."""

    columns = STATISTICS

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels

    def inspect(
        self, samples: Iterable[kind.Collected | kind.Refused]
    ) -> Iterator[list[kind.Inspected | kind.Refused]]:
        for sample in samples:
            if isinstance(sample, kind.Refused):
                yield [sample]
                continue
            label = sample.label or ""
            for found in next(inspect([sample.objects[0]], self._max_pixels)):
                yield [
                    kind.Refused(found)
                    if isinstance(found, str)
                    else kind.Inspected(
                        found.content,
                        label,
                        label,
                        encode_example(sample.objects[0], label),
                        found.statistics,
                        (label,),
                    )
                ]

    def conflict(self, one: str, other: str) -> str:
        return f"the same picture lies under the labels {one!r} and {other!r}"


class Inspected(NamedTuple):
    """``content`` is the 32 bytes of the content hash; ``statistics`` the float32 values of :data:`STATISTICS`."""

    content: bytes
    statistics: bytes


def inspect(encoded: Iterable[Encoded], max_pixels: int) -> Iterator[list[Inspected | str]]:
    """For each image in order, what it shows, or why it can't be used; part by part.

    One thread decodes ahead, in TensorFlow, while the caller's does the rest in Python: more would only wait for
    each other. ``encoded`` is taken from at most three parts ahead (see ``encoded.in_parts``).
    """
    for images in map_ahead(decode_part, in_parts(encoded, max_pixels), threads=1, ahead=2):
        rows = iter(statistics_rows([image for image in images if not isinstance(image, UnusableImageError)]))
        yield [
            str(image)
            if isinstance(image, UnusableImageError)
            else Inspected(content_digest(image), next(rows).tobytes())
            for image in images
        ]


def statistics_columns(rows: Sequence[bytes]) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Rows of :class:`Inspected` as named float32 columns."""
    table = np.frombuffer(b"".join(rows), np.float32).reshape(len(rows), len(STATISTICS))
    return {name: table[:, position] for position, name in enumerate(STATISTICS)}
