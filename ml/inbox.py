"""The inbox, seen from the side that waits for samples: what is there, counted no further than needed.

Every count streams a listing and leaves it at its threshold, so a million objects cost no more than the pages up to it.
Counted are the names that could be samples and that the open batch doesn't name already. ``storage`` is a pipeline's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from ml import layout
from ml.batches import open_batch, read_manifest
from ml.data_sufficiency import Requirement, Stock
from ml.errors import NotFoundError
from ml.kinds.kind import Kind, Part
from ml.storage import Storage


def count(storage: Storage, kind: Kind, at_least: int) -> int:
    """How many new samples the inbox holds, counted up to ``at_least``."""
    return sum(1 for _ in islice(_labels(storage, kind), max(at_least, 0)))


def take_stock(storage: Storage, kind: Kind, needed: Requirement) -> Stock:
    """The new samples in the inbox, counted as far as ``needed`` asks.

    Each class is counted in its own folder: a rare one is found without listing all of the others. Memory grows with
    the number of classes only.
    """
    per_class: Counter[str] = Counter()
    if needed.per_class:
        if needed.classes is None:
            folders = list(storage.child(layout.INBOX).folders())
        else:
            folders = [kind.class_folder(label) or "" for label in needed.classes]
        for folder in folders:
            per_class.update(islice(_labels(storage, kind, folder), needed.per_class))
    return Stock(count(storage, kind, needed.samples), per_class)


def _labels(storage: Storage, kind: Kind, folder: str = "") -> Iterator[str]:
    """The label of each new sample in a folder of the inbox, or in all of it."""
    frozen = _frozen(storage)
    for info in storage.child(layout.INBOX).list(folder):
        if info.size == 0 or info.irregular is not None:
            continue
        sample = kind.part_of(info.name)
        if isinstance(sample, Part) and hash((info.name, info.generation)) not in frozen:
            yield sample.label or ""


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
