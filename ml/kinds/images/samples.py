"""Samples whose first object is an image, decoded ahead of whoever looks at them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ml.kinds.images.encoded import Encoded, Pixels, UnusableImageError, decode_part, in_parts
from ml.kinds.kind import Collected, Refused
from ml.parallel import map_ahead


class Decoded(NamedTuple):
    """A sample with the canonical pixels of its image."""

    sample: Collected
    pixels: Pixels


def decode_samples(samples: Iterable[Collected | Refused], max_pixels: int) -> Iterator[list[Decoded | Refused]]:
    """Each sample in order with its image decoded, or why it can't be used; part by part.

    One thread decodes ahead, in TensorFlow, while the caller's does the rest in Python: more would only wait for
    each other. ``samples`` is taken from at most three parts ahead (see ``encoded.in_parts``).
    """
    waiting: deque[Collected | Refused] = deque()  # what is being decoded: a few parts

    def encoded() -> Iterator[Encoded]:
        for sample in samples:
            waiting.append(sample)
            yield UnusableImageError(sample) if isinstance(sample, Refused) else sample.objects[0]

    for images in map_ahead(decode_part, in_parts(encoded(), max_pixels), threads=1, ahead=2):
        yield [_decoded(waiting.popleft(), image) for image in images]


def _decoded(sample: Collected | Refused, image: Pixels | UnusableImageError) -> Decoded | Refused:
    if isinstance(sample, Refused):
        return sample
    return Refused(image) if isinstance(image, UnusableImageError) else Decoded(sample, image)
