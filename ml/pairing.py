"""Putting the objects of samples together, in whatever order a listing tells of them. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ml.kinds.kind import Part, Unusable
from ml.labels import normal_id
from ml.storage import ObjectInfo


class InboxSample(NamedTuple):
    """What the inbox holds: a whole sample, its objects in the order of the kind's roles, and what its first one is; or
    a single object that can't belong to any."""

    objects: tuple[ObjectInfo, ...]
    found: Part | Unusable

    @property
    def name(self) -> str:
        return self.objects[0].name


class Pairing:
    """Holds each object until the sample's others have come, so memory grows with those that wait only.

    Objects whose ids are written alike belong together; what is left of them at the end of the listing is paired by the
    ids' one form (see ``ml.labels``). So a file is never paired with another one than its own.
    """

    def __init__(self, roles: Iterable[str]) -> None:
        self._roles = tuple(roles)
        self._waiting: dict[str, dict[str, tuple[ObjectInfo, Part]]] = {}

    def add(self, info: ObjectInfo, part: Part) -> InboxSample | None:
        """The sample that is whole now; None where others of its objects haven't come yet.

        Of two objects with one role in the same sample, the second can't be used while the first one waits.
        """
        sample = self._waiting.setdefault(part.written_sample, {})
        twin = sample[part.role][0].name if part.role in sample else info.name
        if twin != info.name:  # the same name twice: it was replaced while it was listed
            return InboxSample(
                (info,), Unusable(f"{twin!r} is the {part.role} of the same sample: keep one of the two")
            )
        sample[part.role] = info, part
        if len(sample) < len(self._roles):
            return None
        del self._waiting[part.written_sample]
        return self._whole(sample)

    def rest(self) -> Iterator[InboxSample]:
        """At the end of the listing: the samples whose objects' ids differ in form only, one object of each role."""
        forms: dict[str, list[str]] = defaultdict(list)
        for written in self._waiting:
            forms[normal_id(written)].append(written)
        for alike in forms.values():
            objects = [each for written in alike for each in self._waiting[written].items()]
            sample = dict(objects)
            if len(objects) == len(sample) == len(self._roles):
                for written in alike:
                    del self._waiting[written]
                yield self._whole(sample)

    def _whole(self, sample: dict[str, tuple[ObjectInfo, Part]]) -> InboxSample:
        return InboxSample(tuple(sample[role][0] for role in self._roles), sample[self._roles[0]][1])

    @property
    def waiting(self) -> int:
        """How many objects have no counterpart yet."""
        return sum(map(len, self._waiting.values()))


def in_words(waiting: int) -> str:
    """So many objects that wait, in words."""
    return "1 file waits for its counterpart" if waiting == 1 else f"{waiting:,} files wait for their counterparts"
