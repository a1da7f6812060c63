"""The inbox, seen from the side that waits for samples: is there enough for a batch?"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class _Frozen:
    """Hashes (names would take too much memory) of the samples that one version of a manifest names."""

    manifest: str
    samples: frozenset[int]


_last = _Frozen("", frozenset())


def _frozen(storage: Storage) -> frozenset[int]:
    """What the open batch names already. A manifest never changes, so a sensor that looks often reads it once."""
    global _last
    held = open_batch(storage)
    if held is None:
        return frozenset()
    name = layout.batch(held.batch, layout.MANIFEST)
    try:
        manifest = f"{storage.uri(name)} {storage.stat(name).generation}"
        last = _last
        if last.manifest != manifest:
            entries = read_manifest(storage, held.batch)
            last = _last = _Frozen(manifest, frozenset(hash((entry.object, entry.generation)) for entry in entries))
    except NotFoundError:  # the batch is being frozen still
        return frozenset()
    return last.samples
