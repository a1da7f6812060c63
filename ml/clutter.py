"""Files that programs leave beside people's own: hidden ones, and a few with known names. They are never samples.

Every reader of an inbox asks here. Clutter isn't counted, moved or refused: it stays where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ml.storage import ObjectInfo

#: In lower case. From Windows, from macOS, and the thumbnails' folder of Synology's file servers.
_KNOWN = frozenset(
    ("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "__macosx", "@eadir")
)
_ELSEWHERE = frozenset((".", ".."))


def is_clutter(name: str) -> bool:
    """Whether a part of the object name ``name`` begins with a dot or is a known one, in upper or lower case.

    ``.`` and ``..`` are not clutter: a name with one of them is odd, and is refused.
    """
    return any(
        (part[:1] == "." and part not in _ELSEWHERE) or (part[:1] in "tTeEdDsS$_@" and part.lower() in _KNOWN)
        for part in name.split("/")
    )


@dataclass
class Clutter:
    """What a listing left out: how many files, and the first of them by name."""

    count: int = 0
    example: str | None = None

    def left_out(self, listing: Iterable[ObjectInfo]) -> Iterator[ObjectInfo]:
        """The objects of ``listing`` that aren't clutter, streamed; counts the others."""
        for info in listing:
            if is_clutter(info.name):
                self.count += 1
                self.example = min(self.example or info.name, info.name)
            else:
                yield info


def describe_clutter(count: int, example: str | None) -> str:
    """One line about ignored files, for people."""
    such = f", such as {example!r}" if example else ""
    files = "1 hidden or system file is" if count == 1 else f"{count:,} hidden or system files are"
    return f"{files} ignored in the inbox{such}"
