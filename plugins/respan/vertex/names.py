"""Names and labels of what Respan makes on Google Cloud. Each follows from what it is for, so that a retry finds it."""

from __future__ import annotations

import hashlib
import re

from ml.settings import Settings
from ml.vertex_settings import LABEL_PREFIX

_LONGEST_ID = 63


def resource_id(*parts: str, longest: int = _LONGEST_ID) -> str:
    """``respan-<parts>`` as an id that every service of Vertex AI takes: lower-case letters, digits and ``-``.

    Where a part has other characters or the whole is too long, a hash of the parts is at its end instead, so that two
    different names never meet.
    """
    plain = "-".join(["respan", *parts])
    clean = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    if clean == plain and len(clean) <= longest:
        return clean
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]
    return f"{clean[: longest - 11].rstrip('-')}-{digest}"


def label_value(text: str) -> str:
    """``text`` as the value of a label; a hash tells apart what would look the same."""
    if re.fullmatch(r"[a-z0-9_-]{0,63}", text):
        return text
    clean = re.sub(r"[^a-z0-9_-]+", "-", text.lower())[:52]
    return f"{clean}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def labels(settings: Settings, **own: str) -> dict[str, str]:
    """The settings' labels and Respan's own: ``respan-pipeline``, and ``respan-<key>`` for each of ``own``."""
    named = {"pipeline": settings.name, **own}
    return {**settings.vertex.labels, **{f"{LABEL_PREFIX}{key}": label_value(value) for key, value in named.items()}}
