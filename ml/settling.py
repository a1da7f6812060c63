"""Settling: how a batch ends. The only place where samples move.

Every step may be killed at any point and repeated: an object that isn't where it was is looked for where it goes.

A sample's objects go to one place, one after the other, each of them atomically. What vanished from the inbox or was
replaced there doesn't keep the others: they may be in a span already, and would count twice if they stayed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import chain

from ml import layout, windows
from ml.batches import open_batch, read_batch, read_manifest, read_refusals, write_lines
from ml.errors import ConflictError, NotFoundError, StorageError
from ml.freezing import release
from ml.parallel import map_ahead
from ml.records import Batch, BatchState, ManifestEntry, ManifestPart, Refusal, Settlement, Span
from ml.storage import Storage


class Place(str, Enum):
    """Where an object of a settled batch is."""

    ARCHIVE = "archive"
    QUARANTINE = "quarantine"
    NOWHERE = "nowhere"


def settle(storage: Storage, batch: str) -> Batch:
    """Moves each sample of the batch to the archive, or to quarantine with its reason, and closes the batch.

    An object that is no longer in the inbox as it was frozen (deleted, or replaced: the replacement belongs to another
    sample and stays) is recorded in the batch's ``vanished.jsonl``. A repeat finishes what is left; on an archived
    batch it does nothing. Raises ``ConflictError`` for a returned batch, ``StorageError`` where a move can't be
    verified.
    """
    found = read_batch(storage, batch)
    if found.state is BatchState.RETURNED:
        raise ConflictError(f"batch {batch} was returned: its samples are in the inbox, there is nothing to settle")
    if found.state is BatchState.OPEN:
        reasons = read_refusals(storage, batch)
        _record_reasons(storage, batch, reasons)
        settlement = _move_all(storage, batch, read_manifest(storage, batch), reasons)
        found = _close(storage, found, BatchState.ARCHIVED, settlement)
    release(storage, batch)
    return found


def return_batch(storage: Storage, batch: str, *, quarantine_refused: bool = False) -> Batch | None:
    """Dissolves the batch: its samples are in the inbox as if it had never been.

    With ``quarantine_refused`` those that were refused, at the freeze or after, go to quarantine first; they do in any
    case where an earlier attempt has begun with it, so that no sample is torn apart. A batch whose freezing never
    finished has no record: what it held is released, and the result is None. A repeat on a returned batch does nothing.
    Raises ``ConflictError`` for a batch that is archived, is being settled, or went into a span.
    """
    try:
        found = read_batch(storage, batch)
    except NotFoundError:
        held = open_batch(storage)
        if held is None or held.batch != batch:
            raise
        release(storage, batch)
        return None
    if found.state is BatchState.ARCHIVED:
        raise ConflictError(f"batch {batch} is archived: it can't be returned any more")
    if found.state is BatchState.OPEN:
        _check_unused(storage, batch)
        settlement = Settlement()
        if quarantine_refused or next(storage.list(layout.quarantined(batch)), None) is not None:
            reasons = read_refusals(storage, batch)
            refused = (e for e in read_manifest(storage, batch) if e.refused is not None or e.index in reasons)
            _record_reasons(storage, batch, reasons)
            settlement = _move_all(storage, batch, refused, reasons)
        found = _close(storage, found, BatchState.RETURNED, settlement)
    release(storage, batch)
    return found


def _check_unused(storage: Storage, batch: str) -> None:
    if next(storage.list(f"{layout.ARCHIVE}/{batch}"), None) is not None:
        raise ConflictError(f"batch {batch} is being settled: finish it with `batch settle`")
    for number in windows.complete_spans(storage):
        if Span.from_json(storage.read(layout.span(number, layout.SPAN))).batch == batch:
            raise ConflictError(f"batch {batch} went into span {number}: finish it with `batch settle`")


def _record_reasons(storage: Storage, batch: str, reasons: dict[int, str]) -> None:
    """Writes why samples go to quarantine, before any does."""

    def refusals() -> Iterator[Refusal]:
        for entry in read_manifest(storage, batch):
            reason = entry.refused or reasons.get(entry.index)
            if reason is not None:
                yield Refusal(index=entry.index, object=entry.object, generation=entry.generation, reason=reason)

    found = refusals()
    first = next(found, None)
    if first is not None:
        write_lines(storage, layout.quarantine_reasons(batch), chain([first], found))


def _move_all(storage: Storage, batch: str, entries: Iterable[ManifestEntry], reasons: dict[int, str]) -> Settlement:
    places: Counter[Place] = Counter()

    def move(entry: ManifestEntry) -> tuple[ManifestEntry, list[Place]]:
        refused = entry.refused is not None or entry.index in reasons
        to = Place.QUARANTINE if refused else Place.ARCHIVE
        found = []
        for item in entry.objects:
            found.append(_move(storage, batch, item, to))
            if found[-1] is not Place.NOWHERE:
                to = found[-1]  # also where an earlier attempt put it, before a step refused the sample
        return entry, found

    def vanished() -> Iterator[Refusal]:
        for entry, found in map_ahead(move, entries):
            places[found[0]] += 1
            for item, place in zip(entry.objects, found, strict=True):
                if place is Place.NOWHERE:
                    yield _vanished(storage, entry.index, item)

    write_lines(storage, layout.batch(batch, layout.VANISHED), vanished())
    return Settlement(
        archived=places[Place.ARCHIVE], quarantined=places[Place.QUARANTINE], vanished=places[Place.NOWHERE]
    )


def _vanished(storage: Storage, index: int, item: ManifestEntry | ManifestPart) -> Refusal:
    what = "replaced" if storage.exists(layout.inbox(item.object)) else "deleted from the inbox"
    reason = f"{what} after the batch was frozen"
    return Refusal(index=index, object=item.object, generation=item.generation, reason=reason)


def _move(storage: Storage, batch: str, item: ManifestEntry | ManifestPart, to: Place) -> Place:
    """Where the object is afterwards: ``to``, where an earlier attempt put it, or nowhere."""
    targets = {
        Place.ARCHIVE: layout.archived(batch, item.object),
        Place.QUARANTINE: layout.quarantined(batch, item.object),
    }
    try:
        moved = storage.move(layout.inbox(item.object), targets[to], generation=item.generation)
    except NotFoundError:
        for place in (to, *targets.keys() - {to}):
            if storage.exists(targets[place]):
                return place
        return Place.NOWHERE
    if moved.size != item.size:
        raise StorageError(
            f"{storage.uri(targets[to])} has {moved.size} bytes and the manifest says {item.size}: compare the two"
        )
    return to


def _close(storage: Storage, batch: Batch, state: BatchState, settlement: Settlement) -> Batch:
    name = layout.batch(batch.id, layout.BATCH)
    generation = storage.stat(name).generation
    current = read_batch(storage, batch.id)
    if current.state is not BatchState.OPEN:
        if current.state is not state:
            raise ConflictError(f"batch {batch.id} was {current.state.value} by somebody else meanwhile")
        return current
    closed = batch.model_copy(update={"state": state, "settlement": settlement})
    storage.write(name, closed.to_json(), if_generation=generation)
    return closed
