"""The objects of a batch's samples, read wherever they are by now: in the inbox or, once it is settled, in the
archive."""

from __future__ import annotations

import msgspec

from ml import layout
from ml.errors import NotFoundError
from ml.storage import Storage


class Instance(msgspec.Struct, gc=False):
    """Which object a prediction is of: its name relative to the inbox, and its generation."""

    object: str
    generation: str


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
