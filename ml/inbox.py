"""The inbox, seen from the side that waits for samples: is there enough for a batch?"""

from __future__ import annotations

from ml import layout
from ml.batches import open_batch, read_manifest
from ml.errors import NotFoundError
from ml.kinds import Labelled, sample_reader
from ml.storage import Storage


def count(storage: Storage, at_least: int, *, kind: str = "image_classification") -> int:
    """How many new samples the inbox of a pipeline holds, counted up to ``at_least`` and no further.

    Streams the listing and stops at the threshold, so a million objects cost no more than the pages up to it. Counts
    only names that could be samples of ``kind`` and that the open batch doesn't name already. ``storage`` is the
    pipeline's.
    """
    sample_of = sample_reader(kind)
    frozen = _frozen(storage)
    found = 0
    if at_least <= 0:
        return 0
    for info in storage.child(layout.INBOX).list():
        usable = info.size > 0 and info.irregular is None and isinstance(sample_of(info.name), Labelled)
        if usable and hash((info.name, info.generation)) not in frozen:
            found += 1
            if found == at_least:
                break
    return found


def _frozen(storage: Storage) -> frozenset[int]:
    """Hashes, not names: a batch may have a million samples."""
    held = open_batch(storage)
    if held is None:
        return frozenset()
    try:
        return frozenset(hash((entry.object, entry.generation)) for entry in read_manifest(storage, held.batch))
    except NotFoundError:
        return frozenset()
