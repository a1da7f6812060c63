"""Which names of objects can't be a sample's in any layout."""

from __future__ import annotations

import unicodedata

from ml.kinds.kind import Unusable
from ml.labels import normal_label
from ml.storage import stands_for_bytes


def unusable_name(name: str) -> Unusable | None:
    """Why no object ``name`` can belong to a sample: it is not UTF-8, holds control characters, or leads elsewhere.

    Spaces, quotes and any script are fine. None for a name that only the layout decides on.
    """
    if not name.isprintable():  # rare, and the two looks are slow
        if stands_for_bytes(name):
            return Unusable("the name is not UTF-8")
        if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in name):
            return Unusable("the name holds a control character or a line break")
    if any(part in (".", "..") for part in name.split("/")):
        return Unusable("the name leads elsewhere (. or ..)")
    return None


def stem_of(file: str, extensions: tuple[str, ...]) -> str | Unusable:
    """The file's name without its extension, which has to be one of ``extensions``; its case doesn't matter."""
    stem, dot, extension = file.rpartition(".")
    if not dot or extension.lower() not in extensions:
        return Unusable(f"the extension is not one of {', '.join(extensions)}")
    if not normal_label(stem):
        return Unusable("the id is blank")
    return stem
