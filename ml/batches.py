"""Batches as documents: the manifest, the batch's record, the refusals of each step, and which batch is open.

``ml.freezing`` makes batches, ``ml.settling`` ends them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from ml import layout
from ml.errors import DataError, NotFoundError
from ml.parallel import map_ahead
from ml.records import Batch, ManifestEntry, OpenBatch, Record, Refusal
from ml.settings import Settings
from ml.storage import Storage
from ml.temporary import temporary_folder

R = TypeVar("R", bound=Record)


def read_batch(storage: Storage, batch: str) -> Batch:
    """The record of ``batch``. Raises ``NotFoundError`` naming the batches that there are."""
    try:
        return Batch.from_json(storage.read(layout.batch(batch, layout.BATCH)))
    except NotFoundError:
        known = ", ".join(storage.folders(layout.BATCHES)[-5:]) or "none"
        raise NotFoundError(f"there is no batch {batch!r} in {storage.root}; found: {known}") from None


def list_batches(storage: Storage) -> list[Batch]:
    """Every batch that was frozen, oldest first, whatever became of it."""

    def read(name: str) -> Batch | None:
        try:
            return Batch.from_json(storage.read(layout.batch(name, layout.BATCH)))
        except NotFoundError:
            return None

    found = [batch for batch in map_ahead(read, storage.folders(layout.BATCHES)) if batch is not None]
    return sorted(found, key=lambda batch: (batch.frozen, batch.id))


def open_batch(storage: Storage) -> OpenBatch | None:
    """The batch that is open, None where none is."""
    try:
        return OpenBatch.from_json(storage.read(layout.OPEN_BATCH))
    except NotFoundError:
        return None


def read_manifest(storage: Storage, batch: str) -> Iterator[ManifestEntry]:
    """The manifest's entries in its order, streamed. Raises ``NotFoundError``, or ``DataError`` for a broken line."""
    return read_lines(storage, layout.batch(batch, layout.MANIFEST), ManifestEntry)


def write_refusals(storage: Storage, batch: str, step: str, refusals: Iterable[Refusal]) -> int:
    """Records what ``step`` ("predict", "span") found unusable; a repeat replaces what it had recorded. Returns how
    many there were."""
    return write_lines(storage, layout.refusals(batch, step), refusals)


def read_refusals(storage: Storage, batch: str) -> dict[int, str]:
    """Manifest index → reason, of every sample that a step refused after the freeze; the reason of the first step (by
    name) where several refused it."""
    reasons: dict[int, str] = {}
    for name in sorted(info.name for info in storage.list(layout.batch(batch, "refusals"))):
        for refusal in read_lines(storage, name, Refusal):
            reasons.setdefault(refusal.index, refusal.reason)
    return reasons


def read_vanished(storage: Storage, batch: str) -> Iterator[Refusal]:
    """Each object that the batch's settling found gone; none before it."""
    with contextlib.suppress(NotFoundError):
        yield from read_lines(storage, layout.batch(batch, layout.VANISHED), Refusal)


def check_refused_share(settings: Settings, refused: int, total: int, *, reason: str | None = None) -> None:
    """Raises ``DataError`` where more than ``data.max_refused_share`` of the ``total`` samples of a batch were refused;
    ``reason`` is the most frequent one, where the caller knows it."""
    limit = settings.data.max_refused_share
    if total and refused / total > limit:
        why = f" (most frequent reason: {reason})" if reason else ""
        raise DataError(
            f"{refused} of {total} samples of the batch were refused{why}, more than data.max_refused_share = {limit}: "
            f"look at them with `batch show`, then take them out of the inbox with "
            f"`python -m ml batch return {settings.name} BATCH --quarantine-refused`"
        )


def read_lines(storage: Storage, name: str, record: type[R]) -> Iterator[R]:
    """The records in a JSON Lines object, streamed. Raises ``DataError`` naming a line that isn't one."""
    with storage.open(name) as stream:
        for number, line in enumerate(stream, 1):
            try:
                yield record.model_validate_json(line)
            except ValidationError as error:
                what = error.errors()[0]["msg"]
                raise DataError(f"{storage.uri(name)}, line {number}, is no {record.__name__}: {what}") from error


def write_lines(storage: Storage, name: str, records: Iterable[Record]) -> int:
    """Writes the records as one JSON Lines object, atomically and streaming. Returns how many there were."""
    with temporary_folder() as folder:
        local = folder / "lines"
        count = write_local_lines(local, records)
        storage.upload(local, name)
    return count


def write_local_lines(file: Path, records: Iterable[Record]) -> int:
    """Writes the records as JSON Lines to a local file, streaming. Returns how many there were."""
    count = 0
    with file.open("wb") as stream:
        for record in records:
            stream.write(record.model_dump_json(exclude_none=True).encode() + b"\n")
            count += 1
    return count
