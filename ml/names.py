"""Names that come from outside (run ids, pipelines, objects) and the identifiers made of them."""

from __future__ import annotations

import hashlib
import re

from ml.errors import SettingsError

_PIPELINE = re.compile(r"[a-z][a-z0-9_]{0,62}")
_UNSAFE = re.compile(r"[^a-z0-9]+")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*-[0-9a-f]{8}", re.ASCII)
_LONGEST_ID = 57


def safe_id(text: str) -> str:
    """A short identifier for ``text`` (an Airflow run id, say), usable as a file name and a Vertex label.

    Lower-case letters, digits and single dashes between them, at most 57 characters. Different texts give different
    identifiers (a part of the text's SHA-256 is appended) and the same text always gives the same one, which is what
    makes a retry find its own work. An identifier made here is returned as it is.
    """
    if _ID.fullmatch(text) and len(text) <= _LONGEST_ID:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    readable = _UNSAFE.sub("-", text.lower())[: _LONGEST_ID - 9].strip("-") or "id"
    return f"{readable}-{digest}"


def check_pipeline_name(name: str) -> str:
    """``name`` if it can name a pipeline's folder, storage prefix, Python package and DAG; else ``SettingsError``."""
    if not _PIPELINE.fullmatch(name):
        raise SettingsError(
            f"{name!r} can't name a pipeline: use at most 63 lower-case letters, digits and underscores, a letter first"
        )
    return name
