"""How an image is to be turned so that it is upright, by its EXIF: a camera stores the pixels as its sensor lies.

Applied wherever an image is decoded: here in Python, and by the same rules in the graph (see ``upright``). A JPEG has
EXIF in its first APP1 segment that begins with ``Exif``, a PNG in its first chunk ``eXIf`` (CIPA DC-008, 4.5 and 4.6;
PNG 3rd edition, 11.3.4.4). What can't be read counts as upright.
"""

from __future__ import annotations

import struct
from itertools import islice

import numpy as np
import numpy.typing as npt

from ml.kinds.images.headers import APP1, JPEG, PNG, chunks, segments

#: Names the data in a JPEG's segment, and by mistake also in the chunks of some PNGs.
EXIF = b"Exif\0\0"
EXIF_CHUNK = b"eXIf"
#: So many segments or chunks are looked at: a file must not make a model that serves look for minutes.
MOST_PARTS = 4096
#: The field of the orientation, and its type SHORT (TIFF 6.0, section 2).
TAG, SHORT = 0x0112, 3
UPRIGHT = 1

#: Orientations whose rows are stored as columns; and of the upright image so got, those that are to be mirrored from
#: left to right, and from top to bottom.
TRANSPOSED, MIRRORED, FLIPPED = (5, 6, 7, 8), (2, 3, 6, 7), (3, 4, 7, 8)


def orientation_of(encoded: bytes) -> int:
    """1 to 8, as EXIF counts them: 1 is upright, 6 and 8 are photographs taken with the camera held on edge."""
    if encoded.startswith(JPEG) and EXIF in encoded:
        for marker, begin, end in islice(segments(encoded), MOST_PARTS):
            if marker == APP1 and encoded[begin:end].startswith(EXIF):
                return _orientation(encoded[begin + len(EXIF) : end])
    elif encoded.startswith(PNG) and EXIF_CHUNK in encoded:
        for kind, begin, end in islice(chunks(encoded), MOST_PARTS):
            if kind == EXIF_CHUNK:
                return _orientation(encoded[begin:end].removeprefix(EXIF))
    return UPRIGHT


def turn_upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """uint8[height, width, …] as stored → as people see it, a copy unless it is upright."""
    if orientation == UPRIGHT:
        return pixels
    if orientation in TRANSPOSED:
        pixels = pixels.swapaxes(0, 1)
    rows = slice(None, None, -1 if orientation in FLIPPED else 1)
    columns = slice(None, None, -1 if orientation in MIRRORED else 1)
    return np.ascontiguousarray(pixels[rows, columns])


def _orientation(tiff: bytes) -> int:
    """Of the first directory in EXIF's data, which is laid out like a TIFF file."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return UPRIGHT
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    if directory + 2 > len(tiff):
        return UPRIGHT
    (fields,) = struct.unpack_from(f"{order}H", tiff, directory)
    whole = min(fields, (len(tiff) - directory - 2) // 12)
    for number in range(whole):
        tag, kind, count, value = struct.unpack_from(f"{order}HHIH", tiff, directory + 2 + 12 * number)
        if tag == TAG:
            return value if (kind, count) == (SHORT, 1) and 1 <= value <= 8 else UPRIGHT
    return UPRIGHT
