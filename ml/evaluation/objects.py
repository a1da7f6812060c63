"""The objects of a batch's samples, read wherever they are by now: in the inbox or, once it is settled, in the
archive."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ml import layout
from ml.errors import NotFoundError
from ml.evaluation.lines import decode_parts
from ml.storage import Storage


class Instance(msgspec.Struct, gc=False):
    """Which object a prediction is of: its name relative to the inbox, and its generation."""

    object: str
    generation: str


class Entry(msgspec.Struct, gc=False):
    """What is needed of a manifest's entry: the sample's objects, the first one by itself, and why it was refused."""

    object: str
    generation: str
    refused: str | None = None
    parts: list[Instance] = []

    @property
    def objects(self) -> list[Instance]:
        """Every object of the sample, in the order of the kind's roles."""
        return [Instance(self.object, self.generation), *self.parts]


def stream_entries(storage: Storage, batch: str) -> Iterator[Entry]:
    """Every entry of the batch's manifest, in its order."""
    for part in decode_parts(storage, layout.batch(batch, layout.MANIFEST), Entry):
        yield from part.rows


def read_object(storage: Storage, batch: str, one: Instance) -> bytes | None:
    """The object's bytes; None where it vanished."""
    try:
        return storage.read(layout.inbox(one.object), generation=one.generation)
    except NotFoundError:
        pass
    try:
        return storage.read(layout.archived(batch, one.object))
    except NotFoundError:
        return None
