"""File names as text.

Linux file names are bytes, and ours are UTF-8, whatever the locale says. A name that isn't UTF-8 is told with a
private-use character for each such byte (see ``ml.storage.stands_for_bytes``), so that a name from a listing always
leads back to its file, and fits into JSON.
"""

from __future__ import annotations

import os
import sys

from ml.storage import BYTE_CHARACTERS, stands_for_bytes

#: Whether Python takes names for UTF-8 by itself. In a process of Airflow that another locale was set for it doesn't.
_UTF8 = sys.getfilesystemencoding() == "utf-8"


def told(name: str) -> str:
    """A file name as Python gives it, as valid Unicode that :func:`on_disk` turns back."""
    if name.isascii():
        return name
    if not _UTF8:
        name = os.fsencode(name).decode("utf-8", "surrogateescape")
    if not stands_for_bytes(name):
        return name
    # A name that really holds such characters is told byte by byte too: no two files ever have one name.
    return "".join(
        "".join(chr(BYTE_CHARACTERS + byte) for byte in character.encode("utf-8", "surrogateescape"))
        if stands_for_bytes(character)
        else character
        for character in name
    )


def on_disk(name: str) -> str:
    """The file name that :func:`told` made ``name`` of, as Python takes it."""
    if name.isascii() or (_UTF8 and not stands_for_bytes(name)):
        return name
    return os.fsdecode(
        b"".join(
            bytes([ord(character) - BYTE_CHARACTERS]) if stands_for_bytes(character) else character.encode()
            for character in name
        )
    )
