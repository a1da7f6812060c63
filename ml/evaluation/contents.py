"""What each sample of a batch shows, however its bytes encode it: ``batches/<id>/contents.bin``.

Copies of a picture are one piece of evidence, not several, and a sample that the release was trained on is none. Both
show in the content that span preparation compares, too (``ml.kinds.kind.Inspected``), so every sample of a batch is
inspected once, on its first evaluation; a repeat finds the document.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from ml import layout
from ml.errors import CodeError, NotFoundError
from ml.evaluation.objects import Entry, read_entries
from ml.evaluation.statistics import inspect_samples
from ml.kinds.kind import Inspected, Inspector, Kind
from ml.settings import Settings
from ml.storage import Storage

_CONTENT_BYTES, _TRUTH_BYTES = 32, 8
_ROW = np.dtype([("content", np.uint64, _CONTENT_BYTES // 8), ("truth", np.uint64)])
_HEADER_BYTES = 32

Digests = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Contents:
    """Of each entry of the manifest: a digest of what it shows and one of its truth, both 0 for a sample that was
    refused, vanished, or can't be inspected.

    64 of a content's 256 bits: of a million samples two would be taken for copies in one batch of 37 million.
    """

    content: Digests
    truth: Digests


def read_contents(storage: Storage, settings: Settings, batch: str, kind: Kind, inspector: Inspector) -> Contents:
    """The contents of the batch's samples, from its document if it is there and of the same manifest and settings.

    Raises ``NotFoundError`` where there is no manifest, ``CodeError`` for an inspector that gives contents of another
    size.
    """
    entries = read_entries(storage, batch)
    name, header = layout.batch(batch, layout.CONTENTS), _header(storage, settings, batch)
    try:
        data = storage.read(name)
    except NotFoundError:
        data = b""
    if data[:_HEADER_BYTES] != header or len(data) != _HEADER_BYTES + len(entries) * _ROW.itemsize:
        data = header + _inspect(storage, batch, kind, inspector, entries).tobytes()
        storage.write(name, data)
    rows = np.frombuffer(data, _ROW, offset=_HEADER_BYTES)
    return Contents(rows["content"][:, 0].copy(), rows["truth"].copy())


def short_digest(content: bytes) -> int:
    """What ``Contents.content`` has of a content."""
    return int.from_bytes(content[:8], "little")


def _inspect(
    storage: Storage, batch: str, kind: Kind, inspector: Inspector, entries: list[Entry]
) -> npt.NDArray[np.void]:
    rows = np.zeros(len(entries), _ROW)
    usable = [number for number, entry in enumerate(entries) if entry.refused is None]
    parts = inspect_samples(storage, batch, kind, inspector, (entries[number].objects for number in usable))
    for number, found in zip(usable, chain.from_iterable(parts), strict=True):
        if not isinstance(found, Inspected):
            continue
        if len(found.content) != _CONTENT_BYTES:
            where = type(inspector).__module__
            raise CodeError(f"{where}: a sample has a content of {len(found.content)} bytes, and not of 32")
        rows["content"][number] = np.frombuffer(found.content, "<u8")
        rows["truth"][number] = short_digest(hashlib.sha256(found.truth.encode()).digest())
    return rows


def _header(storage: Storage, settings: Settings, batch: str) -> bytes:
    """Identifies what the contents follow from, but for the code."""
    manifest = storage.stat(layout.batch(batch, layout.MANIFEST)).generation
    model = settings.model.model_dump_json() if settings.model else ""
    return hashlib.sha256("\n".join([manifest, settings.data.model_dump_json(), model]).encode()).digest()
