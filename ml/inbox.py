"""The inbox as a stream of samples, and seen from the side that waits for them: counted no further than needed.

Where a sample is one object, one listing is streamed. Where it is several, the folders of the roles are listed side by
side, and a sample is told as soon as it is whole. Either way a count leaves its listing at its threshold, so a million
objects cost no more than the pages up to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from ml import layout
from ml.batches import open_batch, read_manifest
from ml.class_folders import ClassFolders, role_folders, role_folders_there
from ml.clutter import Clutter
from ml.data_sufficiency import Requirement, Stock
from ml.errors import NotFoundError
from ml.kinds.kind import Kind, Part, Unusable
from ml.pairing import InboxSample, Pairing
from ml.storage import ObjectInfo, Storage


def samples(inbox: Storage, kind: Kind, pairing: Pairing, clutter: Clutter | None = None) -> Iterator[InboxSample]:
    """All that ``inbox`` holds, streamed: every whole sample, and every object that can't belong to one. At the end
    ``pairing``, a new one, holds what waits for its counterpart, and ``clutter`` what was left out."""
    clutter = Clutter() if clutter is None else clutter
    single = len(kind.roles) == 1
    for info in clutter.left_out(_listed(inbox, kind)):
        found = kind.part_of(info.name)
        sample = InboxSample((info,), found) if single or isinstance(found, Unusable) else pairing.add(info, found)
        if sample is not None:
            yield sample
    yield from pairing.rest()
    folders = role_folders(kind)
    for info in clutter.left_out(() if single or folders == [""] else inbox.list(without=folders)):
        found = kind.part_of(info.name)
        outside = Unusable(f"the layout is not {kind.layout}")
        yield InboxSample((info,), found if isinstance(found, Unusable) else outside)


def count(storage: Storage, kind: Kind, at_least: int) -> int:
    """How many new samples the inbox of the pipeline's ``storage`` holds, counted up to ``at_least``.

    New is what could be a sample by its name, isn't empty, and isn't named by the open batch already.
    """
    return _count(_new(storage, kind, Pairing(kind.roles)), at_least)


def take_stock(storage: Storage, kind: Kind, needed: Requirement) -> Stock:
    """The new samples in the inbox of the pipeline's ``storage``, counted as far as ``needed`` asks.

    Each class is counted in its own folder: a rare one is found without listing all of the others. Memory grows with
    the number of classes, and of objects that wait for their counterpart.
    """
    per_class: Counter[str] = Counter()
    if needed.per_class:
        folders = ClassFolders(storage.child(layout.INBOX), kind)
        if needed.classes is None:
            wanted = folders.names()
        else:
            wanted = [kind.class_folder(label) or "" for label in needed.classes]
        for folder in wanted:
            new = _new(storage, kind, Pairing(kind.roles), folders.of(folder))
            per_class.update(sample.label or "" for sample in islice(new, needed.per_class))
    pairing = Pairing(kind.roles)
    found = _count(_new(storage, kind, pairing), needed.samples)
    return Stock(found, per_class, pairing.waiting if found < needed.samples else 0)


def _count(new: Iterable[Part], at_least: int) -> int:
    return sum(1 for _ in islice(new, max(at_least, 0)))


def _new(storage: Storage, kind: Kind, pairing: Pairing, within: Sequence[str] | None = None) -> Iterator[Part]:
    """Each new sample ``within`` some folders of the inbox, or in all of it."""
    frozen = _frozen(storage)
    single = len(kind.roles) == 1
    for info in Clutter().left_out(_listed(storage.child(layout.INBOX), kind, within)):
        if info.size == 0 or info.irregular is not None or (frozen and hash((info.name, info.generation)) in frozen):
            continue
        found = kind.part_of(info.name)
        if isinstance(found, Part):
            whole = found if single else _completed(pairing.add(info, found))
            if whole is not None:
                yield whole
    yield from filter(None, map(_completed, pairing.rest()))


def _completed(sample: InboxSample | None) -> Part | None:
    return sample.found if sample is not None and isinstance(sample.found, Part) else None


def _listed(inbox: Storage, kind: Kind, within: Sequence[str] | None = None) -> Iterator[ObjectInfo]:
    """The objects in the roles' folders, or ``within`` some folders: one of each by turns."""
    if within is None:
        within = [""] if len(kind.roles) == 1 else role_folders_there(inbox, kind)
    return _by_turns([inbox.list(folder) for folder in within])


def _by_turns(listings: Sequence[Iterator[ObjectInfo]]) -> Iterator[ObjectInfo]:
    going = list(listings)
    while going:
        for listing in list(going):
            info = next(listing, None)
            if info is None:
                going.remove(listing)
            else:
                yield info


@dataclass(frozen=True, slots=True)
class _Frozen:
    """Hashes (names would take too much memory) of the objects that one version of a manifest names."""

    manifest: str
    objects: frozenset[int]


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
            objects = chain.from_iterable(entry.objects for entry in entries)
            last = _last = _Frozen(manifest, frozenset(hash((found.object, found.generation)) for found in objects))
    except NotFoundError:  # the batch is being frozen still
        return frozenset()
    return last.objects
