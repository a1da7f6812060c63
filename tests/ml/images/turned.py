"""Images as cameras write them: stored as the sensor lies, with the orientation in EXIF."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image

#: PIL's way from an upright image to what is stored under an orientation (the inverse of ImageOps.exif_transpose).
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def tiff(orientation: int, order: str = "<", *, before: int = 0) -> bytes:
    """EXIF's data with ``before`` other fields before the orientation; ``order`` is that of its bytes, < or >."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    fields = b"".join(struct.pack(f"{order}HHII", 0x0100 + number, 4, 1, 7) for number in range(before))
    fields += struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(f"{order}IH", 8, before + 1) + fields + bytes(4)


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def tagged(encoded: bytes, exif: bytes) -> bytes:
    """A PNG or JPEG with ``exif``, laid out as in a TIFF file, in it."""
    if encoded.startswith(b"\xff\xd8"):
        begin = 4 + int(struct.unpack_from(">H", encoded, 4)[0])  # behind the JFIF segment
        return encoded[:begin] + segment(0xE1, b"Exif\0\0" + exif) + encoded[begin:]
    begin = 8 + 12 + 13  # behind the header
    return encoded[:begin] + chunk(b"eXIf", exif) + encoded[begin:]


def stored(upright: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """The pixels as a file with this orientation stores them."""
    image = Image.fromarray(upright)
    return np.asarray(image if orientation == 1 else image.transpose(_STORED[orientation]))


def encode(pixels: npt.NDArray[np.uint8], kind: str = "PNG", **choices: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **choices)
    return stream.getvalue()


def photograph(upright: npt.NDArray[np.uint8], orientation: int, kind: str = "PNG", order: str = "<") -> bytes:
    """A file that shows ``upright`` to people (about, as a JPEG)."""
    return tagged(encode(stored(upright, orientation), kind), tiff(orientation, order))
