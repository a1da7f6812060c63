"""Windows: which spans a training run reads, always named one by one and compared as numbers (9 < 10)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ml import layout
from ml.errors import SettingsError
from ml.parallel import map_ahead
from ml.storage import Storage

_FOLDER = re.compile(r"span-([1-9][0-9]*)", re.ASCII)
_WINDOW = re.compile(r"[1-9][0-9]*(,[1-9][0-9]*)*", re.ASCII)


def newest(numbers: Iterable[int], count: int) -> list[int]:
    """The ``count`` largest of ``numbers``, ascending; all of them where there are fewer."""
    if count < 1:
        raise SettingsError(f"a window of {count} spans is empty: ask for at least 1")
    return sorted(set(numbers))[-count:]


def complete_spans(storage: Storage) -> list[int]:
    """The numbers of the spans that are complete (their ``span.json`` is there), ascending."""
    numbers = _numbers(storage)
    complete = map_ahead(lambda number: _is_complete(storage, number), numbers)
    return [number for number, is_complete in zip(numbers, complete, strict=True) if is_complete]


def window(storage: Storage, count: int) -> list[int]:
    """The newest ``count`` complete spans of a pipeline, ascending; fewer, or none, where there are no more.

    Looks at no more spans than it must: from the newest down.
    """
    if count < 1:
        raise SettingsError(f"a window of {count} spans is empty: ask for at least 1")
    found: list[int] = []
    for number in reversed(_numbers(storage)):
        if len(found) == count:
            break
        if _is_complete(storage, number):
            found.append(number)
    return newest(found, count)


def parse(text: str) -> list[int]:
    """The window written as ``"1,2"``, ascending and without repeats. Raises ``SettingsError`` for anything else."""
    compact = text.replace(" ", "")
    if not _WINDOW.fullmatch(compact):
        raise SettingsError(f"{text!r} is not a window: give the spans' numbers separated by commas, such as 9,10")
    return sorted({int(number) for number in compact.split(",")})


def format(numbers: Iterable[int]) -> str:
    """The window as :func:`parse` reads it: ``"1,2"``."""
    return ",".join(str(number) for number in numbers)


def _numbers(storage: Storage) -> list[int]:
    matches = (_FOLDER.fullmatch(name) for name in storage.folders(layout.SPANS))
    return sorted(int(match[1]) for match in matches if match)


def _is_complete(storage: Storage, number: int) -> bool:
    return storage.exists(layout.span(number, layout.SPAN))
