"""What the headers of encoded images say, without decoding: their size, and how they are to be turned.

Read as tolerantly as the decoders read: libjpeg skips stray bytes between segments, and libpng chunks that it doesn't
know, also before the header.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
#: Length and kind of a PNG's header, which stands first but for chunks that no decoder knows.
HEADER_CHUNK = b"\0\0\0\x0dIHDR"

#: A marker of JPEG: stray and fill bytes before it are skipped, and 0xFF00 is not one (ITU T.81, B.1.1.2).
_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
APP1 = 0xE1
#: SOI, EOI and SOS: nothing of what we look for comes after them.
LAST = (0xD8, 0xD9, 0xDA)
#: TEM and RSTn, which have no content.
BARE = (0x01, *range(0xD0, 0xD8))
_NO_FRAMES = (0xC4, 0xC8, 0xCC)


def stored_size(encoded: bytes) -> tuple[int, int] | None:
    """Height and width in pixels as they are stored; None for what is neither PNG nor JPEG, or has no size."""
    if encoded.startswith(PNG):
        header = png_header(encoded)
        return None if header is None else struct.unpack_from(">II", header)[::-1]
    return _frame_size(encoded) if encoded.startswith(JPEG) else None


def png_header(encoded: bytes) -> bytes | None:
    """The 13 bytes of a PNG's IHDR: width, height (four bytes each), bits, colour type and three more; None without."""
    if encoded[8:16] == HEADER_CHUNK and len(encoded) >= 29:  # nearly every PNG
        return encoded[16:29]
    for kind, begin, end in chunks(encoded):
        if kind == b"IHDR":
            return encoded[begin:end] if end - begin == 13 and end <= len(encoded) else None
    return None


def _frame_size(encoded: bytes) -> tuple[int, int] | None:
    """Height and width from the first frame header (ITU T.81, B.2.2)."""
    for marker, begin, end in segments(encoded):
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
            if end - begin < 5 or begin + 5 > len(encoded):
                return None
            height, width = struct.unpack_from(">HH", encoded, begin + 1)
            return height, width
    return None


def segments(encoded: bytes) -> Iterator[tuple[int, int, int]]:
    """Each marker of a JPEG up to the pixels, with the begin and the end of its content (which may be cut off)."""
    position = 2
    while found := _MARKER.search(encoded, position):
        begin = end = found.end()
        marker = encoded[begin - 1]
        if marker in LAST:
            return
        if marker not in BARE:
            if begin + 2 > len(encoded):
                return
            end = begin + int(struct.unpack_from(">H", encoded, begin)[0])
            begin += 2
            if end < begin:
                return
        yield marker, begin, end
        position = end


def chunks(encoded: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk of a PNG: its kind, begin and end of its content (which may be cut off)."""
    position = len(PNG)
    while position + 8 <= len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, position)
        begin = position + 8
        yield kind, begin, begin + length
        position = begin + length + 4
