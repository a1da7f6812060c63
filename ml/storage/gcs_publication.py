"""How a folder appears at once in a bucket, although its objects can only be written one by one.

The marker's name is *reserved* first, by an object that readers never see; whoever reserved it last may publish. Then
the folder's other names are reserved and written, and last the marker is. Every write asks for the generation that was
reserved, so an attempt that was overtaken changes nothing any more: neither its late writes nor its marker find what
they ask for. It may still act on what it looked at before, which is why after each look the marker's reservation is
checked: what was seen until then is nobody's who came later.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn

from ml.errors import ConflictError, NotFoundError, StorageError
from ml.parallel import map_ahead
from ml.storage import ABSENT
from ml.storage.gcs_bucket import RESERVED, Bucket

#: Writes one object: its whole name, and the generation to replace.
Put = Callable[[str, str], object]

#: How long one that was overtaken waits for the other.
WINNER_SECONDS = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


def publish(bucket: Bucket, prefix: str, marker: str, parts: Mapping[str, Put]) -> None:
    """Publishes ``parts`` (name below ``prefix`` → what writes it) so that ``marker``, one of them, appears last.

    Raises ``ConflictError`` where the folder is published already, or while this was under way by somebody who came
    later and is waited for; ``StorageError`` where they don't come to an end.
    """
    _Publication(bucket, prefix, marker).publish({prefix + name: put for name, put in parts.items()})


class _Publication:
    def __init__(self, bucket: Bucket, prefix: str, marker: str) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._marker = prefix + marker
        self._folder = bucket.uri(prefix).rstrip("/")

    def publish(self, parts: Mapping[str, Put]) -> None:
        self._held = self._reserve_marker()
        reserved: dict[str, str] = {}
        try:
            found = self._found()
            others = [name for name in found if name not in parts]
            names = [name for name in parts if name != self._marker]
            _each(lambda name: self._clear(name, found[name]), others)
            for name, generation in map_ahead(lambda name: (name, self._reserve(name, found.get(name, ABSENT))), names):
                reserved[name] = generation
            self._check()
            _each(lambda name: parts[name](name, reserved[name]), names)
            parts[self._marker](self._marker, self._held)
        except ConflictError:
            _each(self._give_back, reserved.items())
            self._await_the_winner()

    def _reserve_marker(self) -> str:
        while True:
            there = self._bucket.find(self._marker)
            if there is not None and there.content_type != RESERVED:
                raise ConflictError(f"{self._folder} is published already")
            with contextlib.suppress(ConflictError):  # somebody else has just reserved it, or published
                return self._bucket.reserve(self._marker, ABSENT if there is None else str(there.generation))

    def _found(self) -> dict[str, str]:
        """Generations of what an attempt before this one left below the prefix."""
        pages = self._bucket.pages(self._prefix, fields="items(name,generation)")
        found = {blob.name: str(blob.generation) for page in pages for blob in page if blob.name != self._marker}
        self._check()
        return found

    def _look(self, name: str) -> str:
        there = self._bucket.find(name)
        self._check()
        return ABSENT if there is None else str(there.generation)

    def _check(self) -> None:
        there = self._bucket.find(self._marker)
        if there is None or str(there.generation) != self._held:
            raise ConflictError("overtaken")

    def _reserve(self, name: str, generation: str) -> str:
        while True:
            try:
                return self._bucket.reserve(name, generation)
            except ConflictError:  # a late write of an attempt before
                generation = self._look(name)

    def _clear(self, name: str, generation: str) -> None:
        while generation != ABSENT:
            try:
                self._bucket.delete(name, generation)
            except NotFoundError:
                return
            except ConflictError:
                generation = self._look(name)
            else:
                return

    def _await_the_winner(self) -> NoReturn:
        """As on a local disk, whoever was too late finds what was published instead."""
        pause = _FIRST_PAUSE
        deadline = time.monotonic() + WINNER_SECONDS
        while time.monotonic() < deadline:
            there = self._bucket.find(self._marker)
            if there is not None and there.content_type != RESERVED:
                raise ConflictError(f"{self._folder} was published by another attempt meanwhile")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise StorageError(f"{self._folder} is being published by another attempt, which does not finish: retry")

    def _give_back(self, reservation: tuple[str, str]) -> None:
        with contextlib.suppress(NotFoundError, ConflictError):
            self._bucket.delete(*reservation)


def _each(work: Callable[..., object], items: Iterable[object]) -> None:
    for _ in map_ahead(work, items):
        pass
