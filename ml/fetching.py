"""Reading the samples of a batch: each object once, many under way, in the manifest's order, checked against it."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import google_crc32c

from ml import layout
from ml.errors import NotFoundError, StorageError
from ml.parallel import map_ahead
from ml.records import ManifestEntry
from ml.storage import Storage

#: Samples read by one thread in one go: few, so that a slow store answers many at once; several, so that handing work
#: over costs little where the store is a local disk.
_GROUP = 8
_GROUP_BYTES = 1 << 20
#: Requests under way at most, and the time that one request should cost: a store that needs 20 ms gets all threads, a
#: local disk none but the caller's (more only contend for the interpreter).
_MOST_THREADS = 48
_LEAST_THREADS = 1
_SECONDS_PER_SAMPLE = 0.0005


class Fetched(NamedTuple):
    """One sample of a manifest: its bytes, or (``data`` is empty then) why there are none."""

    entry: ManifestEntry
    data: bytes
    missing: str | None = None


def fetch(storage: Storage, entries: Iterable[ManifestEntry]) -> Iterator[list[Fetched]]:
    """The samples of a batch, in the order of ``entries``, in small lists.

    An object that was refused when the batch was frozen, or vanished, was replaced or damaged since, comes with the
    reason; each other one is as the manifest says, to the bit. What waits in memory is at most 48 lists of about 1 MB
    (or one sample each). Raises ``StorageError`` where the store refuses.
    """
    groups = _groups(entries)
    for first in groups:
        started = time.perf_counter()
        fetched = _fetch_group(storage, first[:1])
        latency = time.perf_counter() - started
        threads = min(max(round(latency / _SECONDS_PER_SAMPLE), _LEAST_THREADS), _MOST_THREADS)
        yield fetched
        rest = chain([first[1:]] if first[1:] else [], groups)
        if threads == 1:
            yield from (_fetch_group(storage, group) for group in rest)
        else:
            yield from map_ahead(lambda group: _fetch_group(storage, group), rest, threads=threads, ahead=threads)


def _groups(entries: Iterable[ManifestEntry]) -> Iterator[list[ManifestEntry]]:
    group: list[ManifestEntry] = []
    size = 0
    for entry in entries:
        if group and (len(group) == _GROUP or size + entry.size > _GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(entry)
        size += entry.size
    if group:
        yield group


def _fetch_group(storage: Storage, group: list[ManifestEntry]) -> list[Fetched]:
    return [_fetch_one(storage, entry) for entry in group]


def _fetch_one(storage: Storage, entry: ManifestEntry) -> Fetched:
    if entry.refused is not None:
        return Fetched(entry, b"", entry.refused)
    name = layout.inbox(entry.object)
    try:
        data = storage.read(name, generation=entry.generation)
    except NotFoundError:
        return Fetched(entry, b"", _why_missing(storage, name))
    except StorageError:
        # A link or a folder in the object's place can't be read, now or later: it is not what was frozen.
        if _replaced(storage, name, entry.generation):
            return Fetched(entry, b"", "was replaced after the batch was frozen")
        raise
    if len(data) != entry.size or google_crc32c.value(data) != int.from_bytes(base64.b64decode(entry.crc32c), "big"):
        return Fetched(entry, b"", "its bytes differ from the manifest's checksum")
    return Fetched(entry, data)


def _why_missing(storage: Storage, name: str) -> str:
    there = storage.exists(name)
    return "was replaced after the batch was frozen" if there else "vanished after the batch was frozen"


def _replaced(storage: Storage, name: str, generation: str) -> bool:
    try:
        return storage.stat(name).generation != generation
    except NotFoundError:
        return True
