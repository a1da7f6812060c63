"""Encoded images, checked and decoded exactly as the model's own preprocessing decodes them.

TensorFlow's decoder is used here because it is the decoder in the serving graph: an image that passes here can't break
a training or a prediction later. What it would accept beyond PNG and JPEG (GIF, BMP, WebP) is refused, and the size in
pixels is read from the header before anything is decoded, so that a small file can't claim gigabytes of memory.

The *canonical pixels* of an image are uint8 [height, width, 3], RGB, upright: grey is repeated, alpha is dropped, 16
bits become 8, palettes are looked up, CMYK is converted, and the orientation in EXIF is applied.
"""

from __future__ import annotations

import atexit
import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ml.kinds.images.headers import JPEG, PNG, stored_size
from ml.kinds.images.orientation import orientation_of, turn_upright

if TYPE_CHECKING:
    from ml.kinds.images.statistics import ImageStatistics

Pixels = npt.NDArray[np.uint8]

#: Images decoded by one call of the graph below; small enough that a call's results stay in the processor's cache.
_GRAPH_WIDTH = 128
#: Pixels decoded by one call, unless a single image has more: 24 MB of memory.
_GRAPH_PIXELS = 8_000_000
#: Encoded bytes that wait for one call, unless a single image has more.
_PART_BYTES = 4 << 20


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


#: A PNG of one grey pixel: fills the graph's inputs that no image takes.
_FILLER = (
    PNG
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\0\0"))
    + _chunk(b"IEND", b"")
)


class UnusableImageError(Exception):
    """An encoded image that can't be a sample; the message is the reason, for quarantine."""


#: An image to decode, or why it is known already that it can't be.
Encoded = bytes | UnusableImageError


def image_size(encoded: bytes, max_pixels: int) -> tuple[int, int]:
    """Height and width in pixels as they are stored (EXIF may turn the image), from the header alone.

    Raises ``UnusableImageError`` for what is empty, neither PNG nor JPEG, without a readable header, or of more than
    ``max_pixels`` pixels. A pass does not mean that it decodes.
    """
    if not encoded:
        raise UnusableImageError("empty file")
    if not encoded.startswith((PNG, JPEG)):
        raise UnusableImageError("wrong type: neither PNG nor JPEG by its content")
    size = stored_size(encoded)
    if size is None or 0 in size:
        raise UnusableImageError(_damage(encoded))
    height, width = size
    if height * width > max_pixels:
        raise UnusableImageError(f"too many pixels: {width} × {height}, allowed are {max_pixels}")
    return height, width


def decode_image(encoded: bytes, max_pixels: int) -> Pixels:
    """The canonical pixels of one image; raises ``UnusableImageError``. :func:`decode_images` is faster for many."""
    image_size(encoded, max_pixels)
    image = _decode_one(encoded)
    if isinstance(image, UnusableImageError):
        raise image
    return image


def decode_images(encoded: Iterable[Encoded], max_pixels: int) -> Iterator[list[Pixels | UnusableImageError]]:
    """The canonical pixels of many images in their order, or why one has none, part by part (see :func:`in_parts`)."""
    return map(decode_part, in_parts(encoded, max_pixels))


def in_parts(encoded: Iterable[Encoded], max_pixels: int) -> Iterator[list[Encoded]]:
    """The images in their order, each checked by its header, in parts that :func:`decode_part` takes.

    A part holds at most 128 images, 4 MB and (decoded) 8 million pixels, unless a single image has more: a caller that
    is done with a part before it takes the next one needs memory for that much. What is known to be unusable passes.
    """
    part: list[Encoded] = []
    size = pixels = 0
    for image in encoded:
        checked, height, width = image, 0, 0
        if isinstance(image, bytes):
            try:
                height, width = image_size(image, max_pixels)
            except UnusableImageError as refusal:
                checked = refusal
        more = len(checked) if isinstance(checked, bytes) else 0
        full = len(part) == _GRAPH_WIDTH or pixels + height * width > _GRAPH_PIXELS or size + more > _PART_BYTES
        if part and full:
            yield part
            part, size, pixels = [], 0, 0
        part.append(checked)
        size += more
        pixels += height * width
    if part:
        yield part


def decode_part(part: Sequence[Encoded]) -> list[Pixels | UnusableImageError]:
    """The canonical pixels of each image, or why it has none. Safe to call from several threads."""
    import tensorflow as tf

    encoded = [image if isinstance(image, bytes) else _FILLER for image in part]
    if len(part) > 1:
        try:
            decoded = _decoder()(tf.constant(encoded + [_FILLER] * (_GRAPH_WIDTH - len(part))))
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            pass  # One of them is broken, the graph doesn't tell which: each on its own.
        else:
            return [
                _upright(pixels, image) if isinstance(image, bytes) else image
                for image, pixels in zip(part, decoded, strict=False)
            ]
    return [_decode_one(image) if isinstance(image, bytes) else image for image in part]


def content_hash(pixels: Pixels) -> str:
    """:func:`content_digest` in hexadecimal digits."""
    return content_digest(pixels).hex()


def content_digest(pixels: Pixels) -> bytes:
    """SHA-256 of the shape and the canonical pixels: the same picture in two encodings has the same."""
    digest = hashlib.sha256(struct.pack(">II", *pixels.shape[:2]))
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def image_statistics(pixels: Pixels) -> ImageStatistics:
    """What drift of the pictures themselves is measured on; see :mod:`ml.kinds.images.statistics`."""
    from ml.kinds.images import statistics

    return statistics.ImageStatistics(*map(float, statistics.statistics_rows([pixels])[0]))


def _damage(encoded: bytes) -> str:
    """Why a PNG or JPEG can't be decoded, as far as its two ends tell."""
    kind, end = ("PNG", b"IEND") if encoded.startswith(PNG) else ("JPEG", b"\xff\xd9")
    return f"can't be decoded: {'damaged' if end in encoded[-64:] else 'truncated'} {kind} file"


@lru_cache(maxsize=1)
def _decoder() -> Any:
    """One graph that decodes 128 images in TensorFlow's own threads: five times as fast as a call for each image."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([_GRAPH_WIDTH], tf.string)], autograph=False)  # type: ignore[untyped-decorator]
    def decode(encoded: Any) -> Any:
        return [tf.io.decode_image(one, channels=3, expand_animations=False) for one in tf.unstack(encoded)]

    atexit.register(_decoder.cache_clear)  # TensorFlow's graphs can't be freed once the interpreter is half gone
    return decode.get_concrete_function()


def _decode_one(encoded: bytes) -> Pixels | UnusableImageError:
    import tensorflow as tf

    try:
        decoded = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
        return UnusableImageError(_damage(encoded))
    return _upright(decoded, encoded)


def _upright(decoded: Any, encoded: bytes) -> Pixels:
    return turn_upright(np.asarray(memoryview(decoded)), orientation_of(encoded))
