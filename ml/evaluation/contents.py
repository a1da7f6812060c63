"""What each sample of a batch shows, however its bytes encode it: ``batches/<id>/contents.bin``.

Copies of a picture are one piece of evidence, not several, and a sample that the release was trained on is none. Both
show in the content that span preparation compares, too (``ml.kinds.kind.Inspected``), so every sample of a batch is
inspected once, on its first evaluation; a repeat finds the document.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from ml import layout
from ml.errors import CodeError, NotFoundError
from ml.evaluation.objects import Instance, stream_entries
from ml.evaluation.statistics import inspect_samples
from ml.kinds.kind import Inspected, Inspector, Kind, Refused
from ml.settings import Settings
from ml.storage import Storage

_CONTENT_BYTES, _TRUTH_BYTES = 32, 8
_ROW = np.dtype([("content", "<u8", _CONTENT_BYTES // 8), ("truth", "<u8")])
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

    Takes 40 bytes of memory for each sample. Raises ``NotFoundError`` where there is no manifest, and ``CodeError`` for
    an inspector that leaves out samples or gives contents of another size.
    """
    name, header = layout.batch(batch, layout.CONTENTS), _header(storage, settings, batch)
    try:
        data = storage.read(name)
    except NotFoundError:
        data = b""
    if data[:_HEADER_BYTES] != header:
        data = header + _inspect(storage, batch, kind, inspector).tobytes()
        storage.write(name, data)
    rows = np.frombuffer(data, _ROW, offset=_HEADER_BYTES)
    return Contents(rows["content"][:, 0].copy(), rows["truth"].copy())


def short_digest(content: bytes) -> int:
    """What ``Contents.content`` has of a content."""
    return int.from_bytes(content[:8], "little")


def _inspect(storage: Storage, batch: str, kind: Kind, inspector: Inspector) -> npt.NDArray[np.void]:
    numbers = array("q")  # of the usable entries, in the order in which they are inspected
    entries = 0

    def usable() -> Iterator[list[Instance]]:
        nonlocal entries
        for entry in stream_entries(storage, batch):
            if entry.refused is None:
                numbers.append(entries)
                yield entry.objects
            entries += 1

    found = bytearray()
    for one in chain.from_iterable(inspect_samples(storage, batch, kind, inspector, usable())):
        found += _row(one, inspector)
    if len(found) != len(numbers) * _ROW.itemsize:
        raise CodeError(f"{type(inspector).__module__}: inspect left out samples of batch {batch}")
    rows = np.zeros(entries, _ROW)
    rows[np.frombuffer(numbers, np.int64)] = np.frombuffer(found, _ROW)
    return rows


def _row(found: Inspected | Refused, inspector: Inspector) -> bytes:
    if isinstance(found, Refused):
        return bytes(_ROW.itemsize)
    if len(found.content) != _CONTENT_BYTES:
        where = type(inspector).__module__
        raise CodeError(f"{where}: a sample has a content of {len(found.content)} bytes, and not of {_CONTENT_BYTES}")
    return found.content + hashlib.sha256(found.truth.encode()).digest()[:_TRUTH_BYTES]


def _header(storage: Storage, settings: Settings, batch: str) -> bytes:
    """Identifies what the contents follow from, but for the code."""
    manifest = storage.stat(layout.batch(batch, layout.MANIFEST)).generation
    model = settings.model.model_dump_json() if settings.model else ""
    return hashlib.sha256("\n".join([manifest, settings.data.model_dump_json(), model]).encode()).digest()
