"""Labels and ids as people mean them: one form for what looks the same, and a warning for what nearly does."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator

#: Zero-width space, word joiner, byte order mark: without width or meaning, they come along when text is copied.
_NO_WIDTH = dict.fromkeys((0x200B, 0x2060, 0xFEFF))
#: Lines that :meth:`Spellings.warnings` gives of each sort, at most.
_NAMED = 10


def normal_id(text: str) -> str:
    """``text`` in Unicode's form NFC, which macOS and Linux write differently and show alike."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def normal_label(text: str) -> str:
    """A label's one form: NFC, without white space at its ends and without characters of no width.

    The case, white space within, and the joiners that some scripts need stay: labels that differ in them are two. The
    form of a form is the same again.
    """
    if text.isascii():
        return text.strip()
    return unicodedata.normalize("NFC", text.translate(_NO_WIDTH).strip())


def alike(label: str) -> str:
    """What ``label`` has in common with labels that differ from it in case, white space, compatible characters (full
    width, ligatures) or invisible ones only."""
    visible = (c for c in unicodedata.normalize("NFKC", label) if unicodedata.category(c) != "Cf")
    return " ".join("".join(visible).casefold().split())


class Spellings:
    """How the labels of a batch were written. Memory grows with their number."""

    def __init__(self) -> None:
        self._written: dict[str, set[str]] = {}

    def add(self, label: str, written: str) -> None:
        """``label`` in its one form, and as a name gives it."""
        self._written.setdefault(label, set()).add(normal_id(written))

    def warnings(self, known: Iterable[str] = ()) -> list[str]:
        """One line for each label that was written in more than one form (NFC aside), and for each group of labels that
        look nearly the same, of which one at least is in the batch. ``known``: the serving release's labels."""
        return [*_at_most(list(self._merged())), *_at_most(list(self._near(known)))]

    def _merged(self) -> Iterator[str]:
        for label, written in sorted(self._written.items()):
            if others := sorted(written - {label}):
                yield f"label {label!r} is also written {', '.join(map(repr, others))}: they count as one label"

    def _near(self, known: Iterable[str]) -> Iterator[str]:
        groups = defaultdict(set)
        for label in (*self._written, *map(normal_label, known)):
            groups[alike(label)].add(label)
        for group in sorted(map(sorted, groups.values())):
            if len(group) > 1 and any(label in self._written for label in group):
                yield (
                    f"labels {', '.join(map(repr, group))} differ only in case, white space or invisible "
                    "characters and are different classes: if they are one, return the batch and rename their folders"
                )


def _at_most(lines: list[str]) -> list[str]:
    if len(lines) <= _NAMED:
        return lines
    return [*lines[:_NAMED], f"{len(lines) - _NAMED:,} more like the last one"]
