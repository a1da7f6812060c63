"""Freezing: how what lies in the inbox becomes a batch.

At most one batch of a pipeline is open, held by ``batches/open.json``. The batch's manifest names every object with its
generation; the objects stay where they are. What appears during or after the listing belongs to the next batch, and so
does what waits for its counterpart.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import google_crc32c

from ml import layout
from ml.batches import check_refused_share, open_batch, read_batch, write_local_lines
from ml.clutter import Clutter, describe_clutter
from ml.errors import ConflictError, DataError, NotFoundError
from ml.inbox import samples
from ml.kinds import kind_of
from ml.kinds.kind import Kind, Part
from ml.labels import Spellings
from ml.names import safe_id
from ml.pairing import InboxSample, Pairing, in_words
from ml.parallel import map_ahead
from ml.records import Batch, BatchState, ManifestEntry, ManifestPart, OpenBatch, now
from ml.releases import read_release, serving
from ml.settings import Settings
from ml.storage import ABSENT, ObjectInfo, Storage
from ml.temporary import temporary_folder


def freeze(storage: Storage, settings: Settings, run_id: str, *, max_samples: int | None = None) -> Batch:
    """Freezes what lies in the inbox into the batch of ``run_id``; at most ``max_samples`` (default: the settings').

    Where there is more, a pseudo-random choice (by run and name) is taken, so that a batch holds all labels and no
    sample waits for ever. A repeat with the same run finds its batch, whatever its state, except that a returned batch
    is frozen anew.

    Raises ``ConflictError`` while another batch is open, ``DataError`` where no sample is in the inbox (nothing is
    held then) or where too many samples are refused (the batch stays open, to be looked at and returned).
    """
    batch = safe_id(run_id)
    frozen = _finished(storage, batch)
    if frozen is None:
        _claim(storage, settings.name, batch)
        frozen = _finished(storage, batch) or _freeze(storage, settings, batch, max_samples)
        if frozen.state is not BatchState.OPEN:
            release(storage, batch)  # an overlapping attempt of the same run ended the batch before our claim
    if frozen.state is BatchState.OPEN:
        check_refused_share(settings, frozen.refused, frozen.samples + frozen.refused)
    return frozen


def _finished(storage: Storage, batch: str) -> Batch | None:
    """The batch where it was frozen and not returned. Raises ``ConflictError`` for a returned one that can't be frozen
    anew, since some of its samples are in quarantine under its name."""
    try:
        found = read_batch(storage, batch)
    except NotFoundError:
        return None
    if found.state is not BatchState.RETURNED:
        return found
    if found.settlement is not None and found.settlement.quarantined:
        raise ConflictError(
            f"batch {batch} was returned and {found.settlement.quarantined} of its samples are in quarantine: "
            "start a new run instead of repeating this one"
        )
    return None


def _claim(storage: Storage, pipeline: str, batch: str) -> None:
    """Takes ``batches/open.json`` for ``batch``, or finds it taken for it by an earlier attempt."""
    while True:
        try:
            storage.write(layout.OPEN_BATCH, OpenBatch(batch=batch, since=now()).to_json(), if_generation=ABSENT)
        except ConflictError:
            held = open_batch(storage)
            if held is None or release_closed(storage, held):
                continue
            if held.batch != batch:
                raise ConflictError(
                    f"batch {held.batch} of {pipeline} is open since {held.since:%Y-%m-%d %H:%M:%S} UTC: let its run "
                    f"finish, or end it with `python -m ml batch settle {pipeline} {held.batch}` (to the archive) "
                    f"or `python -m ml batch return {pipeline} {held.batch}` (back to the inbox)"
                ) from None
        return


def release_closed(storage: Storage, held: OpenBatch) -> bool:
    """Deletes ``batches/open.json`` where the batch it names is closed already: a crash came between the two."""
    try:
        closed = read_batch(storage, held.batch).state is not BatchState.OPEN
    except NotFoundError:
        return False
    if closed:
        release(storage, held.batch)
    return closed


def release(storage: Storage, batch: str) -> None:
    """Deletes ``batches/open.json`` where it names ``batch``; no error where it doesn't, or isn't there."""
    try:
        info = storage.stat(layout.OPEN_BATCH)
        held = OpenBatch.from_json(storage.read(layout.OPEN_BATCH, generation=info.generation))
        if held.batch == batch:
            storage.delete(layout.OPEN_BATCH, if_generation=info.generation)
    except (NotFoundError, ConflictError):
        return


def _freeze(storage: Storage, settings: Settings, batch: str, max_samples: int | None) -> Batch:
    limit = max_samples or settings.evaluation.max_samples
    inbox, kind = storage.child(layout.INBOX), kind_of(settings)
    pairing, clutter = Pairing(kind.roles), Clutter()
    listed: Iterable[InboxSample] = samples(inbox, kind, pairing, clutter)
    if limit is not None:
        listed = _choice(listed, limit, batch)
    counts: Counter[bool] = Counter()
    spellings = Spellings()
    listed = _spelled(listed, spellings)
    with temporary_folder() as local:
        write_local_lines(local / layout.MANIFEST, _counted(_entries(inbox, kind, settings, listed), counts))
        if not counts:
            release(storage, batch)
            raise DataError(_nothing_in(inbox, kind, pairing.waiting, clutter))
        frozen = Batch(
            id=batch,
            pipeline=settings.name,
            frozen=now(),
            samples=counts[True],
            refused=counts[False],
            incomplete=pairing.waiting if len(kind.roles) > 1 else None,
            ignored=clutter.count,
            ignored_example=clutter.example,
            warnings=spellings.warnings(_released_classes(storage)),
        )
        (local / layout.BATCH).write_bytes(frozen.to_json())
        _forget_returned(storage, batch)
        try:
            storage.publish(local, layout.batch(batch), marker=layout.BATCH)
        except ConflictError:
            return read_batch(storage, batch)  # another attempt of the same run was faster
    return frozen


def _forget_returned(storage: Storage, batch: str) -> None:
    """Deletes the record of the batch where it was returned: its documents number other samples, and are replaced."""
    name = layout.batch(batch, layout.BATCH)
    with contextlib.suppress(NotFoundError, ConflictError):  # never frozen; another attempt of the same run was faster
        generation = storage.stat(name).generation
        if Batch.from_json(storage.read(name, generation=generation)).state is BatchState.RETURNED:
            storage.delete(name, if_generation=generation)


def _nothing_in(inbox: Storage, kind: Kind, waiting: int, clutter: Clutter) -> str:
    if not waiting and clutter.count:
        ignored = describe_clutter(clutter.count, clutter.example)
        return f"there is no sample in {inbox.uri()} ({ignored}): put samples there, then run this again"
    if not waiting:
        return f"there is nothing in {inbox.uri()}: put samples there, then run this again"
    return (
        f"there is no whole sample in {inbox.uri()}, {in_words(waiting)}: complete the samples there "
        f"({kind.layout}), then run this again"
    )


def _choice(listed: Iterable[InboxSample], limit: int, batch: str) -> list[InboxSample]:
    def rank(sample: InboxSample) -> bytes:
        return hashlib.blake2b(f"{batch}\0{sample.name}".encode(), digest_size=8).digest()

    return heapq.nsmallest(limit, listed, key=rank)


def _spelled(listed: Iterable[InboxSample], spellings: Spellings) -> Iterator[InboxSample]:
    for sample in listed:
        if isinstance(sample.found, Part) and sample.found.label is not None:
            spellings.add(sample.found.label, sample.found.written or "")
        yield sample


def _released_classes(storage: Storage) -> list[str]:
    current = serving(storage)
    with contextlib.suppress(NotFoundError):  # a warning less is no reason to fail
        return [] if current is None else read_release(storage, current.version).classes
    return []


def _counted(entries: Iterable[ManifestEntry], counts: Counter[bool]) -> Iterator[ManifestEntry]:
    for entry in entries:
        counts[entry.refused is None] += 1
        yield entry


def _entries(inbox: Storage, kind: Kind, settings: Settings, listed: Iterable[InboxSample]) -> Iterator[ManifestEntry]:
    def entry(sample: InboxSample) -> ManifestEntry | None:
        """The entry, its index still missing; None where an object was read, and is not as it was listed."""
        first, *further = sample.objects
        roles = list(kind.roles) if further else []
        found = sample.found
        refused = None if isinstance(found, Part) else found.reason
        refused = _unfit(sample.objects, roles, settings.data.max_sample_bytes) or refused
        try:
            checksums = [info.crc32c or ("" if refused else _read_checksum(inbox, info)) for info in sample.objects]
        except NotFoundError:
            return None
        parts = [
            ManifestPart(role=role, object=info.name, generation=info.generation, size=info.size, crc32c=crc32c)
            for role, info, crc32c in zip(roles[1:], further, checksums[1:], strict=True)
        ]
        return ManifestEntry(
            index=0,
            object=first.name,
            generation=first.generation,
            size=first.size,
            crc32c=checksums[0],
            label=found.label if isinstance(found, Part) and refused is None else None,
            refused=refused,
            role=roles[0] if roles else None,
            parts=parts or None,
        )

    made = (made for made in map_ahead(entry, listed) if made is not None)
    for index, whole in enumerate(made):
        yield whole.model_copy(update={"index": index})


def _read_checksum(inbox: Storage, info: ObjectInfo) -> str:
    return checksum(inbox.read(info.name, generation=info.generation))


def _unfit(objects: Sequence[ObjectInfo], roles: Sequence[str], max_bytes: int) -> str | None:
    """Why the sample can't be used: the first of its objects that is at fault, by its role where it has one."""
    for number, info in enumerate(objects):
        it = f"the {roles[number]}" if roles else "it"
        if info.irregular is not None:
            return f"{it} is {info.irregular}, not a file"
        if info.size == 0:
            return f"{it} is empty"
        if info.size > max_bytes:
            return f"{it} has {info.size} bytes, more than data.max_sample_bytes = {max_bytes}"
    return None


def checksum(data: bytes) -> str:
    """CRC-32C in Cloud Storage's notation: base64 of the big-endian number."""
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()
