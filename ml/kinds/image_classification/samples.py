"""How a sample lies in the inbox: ``<label>/<id>.<png|jpg|jpeg>``."""

from __future__ import annotations

import unicodedata

from ml.kinds import Labelled, Unusable
from ml.storage import stands_for_bytes

EXTENSIONS = ("png", "jpg", "jpeg")

_LAYOUT = "the layout is not <label>/<id>.<png|jpg|jpeg>"


def sample_of(name: str) -> Labelled | Unusable:
    """What the object ``name`` (relative to the inbox) is: a labelled sample, or unusable with the reason.

    Spaces, quotes and any script are fine; the extension's case doesn't matter. Refused are names that are not UTF-8,
    hold control characters, or lead elsewhere (``..``), and every other layout. Decides from the name alone: no I/O.
    """
    if not name.isprintable():  # rare, and the two looks are slow
        if stands_for_bytes(name):
            return Unusable("the name is not UTF-8")
        if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in name):
            return Unusable("the name holds a control character or a line break")
    parts = name.split("/")
    if any(part in (".", "..") for part in parts):
        return Unusable("the name leads elsewhere (. or ..)")
    if len(parts) != 2:
        return Unusable(f"{_LAYOUT}: {'no label' if len(parts) < 2 else 'too many folders'}")
    label, file = parts
    stem, dot, extension = file.rpartition(".")
    if not dot or extension.lower() not in EXTENSIONS:
        return Unusable(f"{_LAYOUT}: the extension is not one of {', '.join(EXTENSIONS)}")
    if not label.strip() or not stem.strip():
        return Unusable(f"{_LAYOUT}: the {'id' if label.strip() else 'label'} is blank")
    return Labelled(label)


def class_folder(label: str) -> str:
    """Where the samples with this label lie, relative to the inbox."""
    return label
