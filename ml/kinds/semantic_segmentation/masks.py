"""Masks: images of class ids. PIL reads them and not TensorFlow, which would look palettes up and shorten 16 bits.

The *canonical mask* is a PNG of 8-bit grey whose values are class ids, and ignored pixels' value.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Collection

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from ml.kinds.images.encoded import UnusableImageError, image_size
from ml.kinds.images.headers import PNG, png_header
from ml.kinds.images.orientation import orientation_of, turn_upright

Ids = npt.NDArray[np.uint8]

#: What PNG's colour types are called; 0 and 3 (grey and palette) have one channel.
_CHANNELS = {2: "RGB colours", 4: "grey with transparency", 6: "RGB colours with transparency"}


def decode_mask(encoded: bytes, max_pixels: int) -> Ids:
    """The class ids uint8[height, width] in a PNG of 8-bit grey, of a palette (the index counts) or of 16-bit grey;
    upright, as its EXIF may say.

    Raises ``UnusableImageError``, with the reason, for all others, and for what is damaged or larger than
    ``max_pixels``. Whether the ids are those of classes is for :func:`check_mask` to say.
    """
    image_size(encoded, max_pixels)
    header = png_header(encoded) if encoded.startswith(PNG) else None
    if header is None:
        raise UnusableImageError("a mask has to be a PNG: JPEG changes the pixels' values")
    bits, colours = header[8:10]
    if colours in _CHANNELS:
        raise UnusableImageError(f"a mask of {_CHANNELS[colours]}: it has to have one channel, of class ids")
    if colours == 0 and bits not in (8, 16):
        raise UnusableImageError(f"a grey mask of {bits} bits: it has to have 8 or 16")
    try:
        # Not Image.open, which has a limit of its own to the size that max_pixels limits already.
        values = np.asarray(PngImageFile(io.BytesIO(encoded)))
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error) as error:
        raise UnusableImageError(f"can't be decoded: {' '.join(str(error).split())}") from error
    if values.max() > 255:
        raise UnusableImageError(f"the mask has the value {values.max()}: class ids are 0 to 255")
    return turn_upright(values.astype(np.uint8), orientation_of(encoded))


def check_mask(mask: Ids, size: tuple[int, int], ids: Collection[int], ignored: int | None) -> None:
    """Raises ``UnusableImageError`` for a mask that doesn't fit an image of ``size`` (height, width), or has values
    that are neither among ``ids``, those of classes, nor ``ignored``."""
    if mask.shape != size:
        (height, width), (image_height, image_width) = mask.shape, size
        raise UnusableImageError(f"the mask is {width} × {height}, and its image {image_width} × {image_height}")
    found = np.flatnonzero(count_ids(mask))
    if unknown := sorted(set(found.tolist()) - {*ids, ignored}):
        told = ", ".join(map(str, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        raise UnusableImageError(f"the mask has values that are no class's id: {told}")


def count_ids(mask: Ids) -> npt.NDArray[np.int64]:
    """How many pixels have each value: int64[256]."""
    return np.bincount(mask.reshape(-1), minlength=256)


def encode_mask(ids: Ids) -> bytes:
    """The canonical mask of uint8[height, width]; the same ids give the same bytes on one version of zlib."""
    stream = io.BytesIO()
    Image.fromarray(ids).save(stream, "PNG")
    return stream.getvalue()
