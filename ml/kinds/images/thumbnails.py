"""Small pictures of samples, for the evaluation report."""

from __future__ import annotations

import io

from PIL import Image

from ml.kinds.images.encoded import Pixels, UnusableImageError, decode_image

#: Longest side of a thumbnail, in pixels; a smaller image is embedded as it is and enlarged by the page.
THUMBNAIL_SIDE = 96


def thumbnail(encoded: bytes | None, max_pixels: int) -> bytes | None:
    """A small PNG of an encoded image; None for one that can't be decoded, and where there is none any more."""
    try:
        return None if encoded is None else small_png(decode_image(encoded, max_pixels))
    except UnusableImageError:
        return None


def small_png(pixels: Pixels) -> bytes:
    """The PNG of canonical pixels, made smaller where they are many."""
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
