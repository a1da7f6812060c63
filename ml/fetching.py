"""Reading the samples of a batch: each object once, many under way, in the manifest's order, checked against it.

A sample of several objects is read whole, or its first object alone, which is all that a prediction needs.
"""

from __future__ import annotations

import time
from binascii import a2b_base64
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import google_crc32c

from ml import layout
from ml.errors import NotFoundError, StorageError
from ml.parallel import map_ahead
from ml.records import ManifestEntry, ManifestPart
from ml.storage import Storage

#: Samples read by one thread in one go: few, so that a slow store answers many at once; several, so that handing work
#: over costs little where the store is a local disk.
_GROUP = 8
_GROUP_BYTES = 1 << 20
#: Requests under way at most, and the time that one request should cost: a store that needs 20 ms gets all threads, a
#: local disk none but the caller's (more only contend for the interpreter).
_MOST_THREADS = 48
_LEAST_THREADS = 1
_SECONDS_PER_REQUEST = 0.0005


class Fetched(NamedTuple):
    """One sample of a manifest: the bytes of its first object and, where they were asked for, of the ``further`` ones;
    or (there are no bytes then) why they are missing."""

    entry: ManifestEntry
    data: bytes
    missing: str | None = None
    further: tuple[bytes, ...] = ()

    @property
    def objects(self) -> tuple[bytes, ...]:
        """The bytes of all that was fetched, in the order of the kind's roles."""
        return (self.data, *self.further)


def fetch(storage: Storage, entries: Iterable[ManifestEntry], *, whole: bool = False) -> Iterator[list[Fetched]]:
    """The samples of a batch, in the order of ``entries``, in small lists; ``whole``: with all of their objects, not
    with the first alone.

    A sample that was refused when the batch was frozen, or of whose objects one vanished, was replaced or damaged
    since, comes with the reason; each other one is as the manifest says, to the bit. What waits in memory is at most 48
    lists of about 1 MB (or one sample each). Raises ``StorageError`` where the store refuses.
    """

    def fetch_group(group: list[ManifestEntry]) -> list[Fetched]:
        return [_fetch_one(storage, entry, _wanted(entry, whole)) for entry in group]

    groups = _groups(entries, whole)
    for first in groups:
        started = time.perf_counter()
        fetched = fetch_group(first[:1])
        latency = (time.perf_counter() - started) / len(_wanted(first[0], whole))
        threads = min(max(round(latency / _SECONDS_PER_REQUEST), _LEAST_THREADS), _MOST_THREADS)
        yield fetched
        rest = chain([first[1:]] if first[1:] else [], groups)
        if threads == 1:
            yield from map(fetch_group, rest)
        else:
            yield from map_ahead(fetch_group, rest, threads=threads, ahead=threads)


def _wanted(entry: ManifestEntry, whole: bool) -> Sequence[ManifestEntry | ManifestPart]:
    return entry.objects if whole else (entry,)


def _groups(entries: Iterable[ManifestEntry], whole: bool) -> Iterator[list[ManifestEntry]]:
    group: list[ManifestEntry] = []
    size = 0
    for entry in entries:
        its_size = sum(item.size for item in _wanted(entry, whole))
        if group and (len(group) == _GROUP or size + its_size > _GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(entry)
        size += its_size
    if group:
        yield group


def _fetch_one(storage: Storage, entry: ManifestEntry, wanted: Sequence[ManifestEntry | ManifestPart]) -> Fetched:
    if entry.refused is not None:
        return Fetched(entry, b"", entry.refused)
    objects: list[bytes] = []
    for item in wanted:
        data = _read(storage, item)
        if isinstance(data, str):
            return Fetched(entry, b"", data)
        objects.append(data)
    return Fetched(entry, objects[0], further=tuple(objects[1:]))


def _read(storage: Storage, item: ManifestEntry | ManifestPart) -> bytes | str:
    """The object's bytes, or why there are none."""
    name = layout.inbox(item.object)
    subject = f"the {item.role} " if item.role else ""
    try:
        data = storage.read(name, generation=item.generation)
    except NotFoundError:
        return f"{subject}{_why_missing(storage, name)}"
    except StorageError:
        # A link or a folder in the object's place can't be read, now or later: it is not what was frozen.
        if _replaced(storage, name, item.generation):
            return f"{subject}was replaced after the batch was frozen"
        raise
    if len(data) != item.size or google_crc32c.value(data) != int.from_bytes(a2b_base64(item.crc32c), "big"):
        whose = f"the {item.role}'s" if item.role else "its"
        return f"{whose} bytes differ from the manifest's checksum"
    return data


def _why_missing(storage: Storage, name: str) -> str:
    there = storage.exists(name)
    return "was replaced after the batch was frozen" if there else "vanished after the batch was frozen"


def _replaced(storage: Storage, name: str, generation: str) -> bool:
    try:
        return storage.stat(name).generation != generation
    except NotFoundError:
        return True
