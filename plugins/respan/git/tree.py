"""Whether a revision's tree may be checked out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ml.errors import DataError

#: Largest sum of the files of one revision, in bytes.
MOST_BYTES = 1 << 30

#: Links that one path may go through, as Linux counts them.
_MOST_LINKS = 40
_LONGEST_TARGET = 4_096

_SUBMODULE = b"160000"
_LINK = b"120000"


@dataclass(frozen=True)
class Entry:
    """One file of a tree: ``mode`` in git's digits, the id of its content, its bytes (0 for a submodule).

    ``record`` is what git wrote about it.
    """

    mode: bytes
    object_id: str
    size: int
    path: bytes
    record: bytes

    @property
    def is_link(self) -> bool:
        return self.mode == _LINK


def parse_entry(record: bytes) -> Entry:
    """A record of ``git ls-tree -r -l -z``: ``mode type id size<TAB>path``."""
    described, _, path = record.partition(b"\t")
    mode, _type, object_id, size = described.split()
    return Entry(mode, object_id.decode(), 0 if size == b"-" else int(size), path, record)


def checked(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The same entries. Raises ``DataError`` at a submodule, and where the files are too large in all."""
    total = 0
    for entry in entries:
        if entry.mode == _SUBMODULE:
            raise DataError(f"{told(entry.path)} is a submodule, which is not supported: commit its files instead")
        if entry.is_link and entry.size > _LONGEST_TARGET:
            raise DataError(
                f"{told(entry.path)} is a symbolic link of {entry.size} characters: no file has such a name"
            )
        total += entry.size
        if total > MOST_BYTES:
            raise DataError(
                f"the revision's files are larger than {MOST_BYTES // (1 << 20)} MiB in all, at {told(entry.path)}: "
                "keep large files out of the repository"
            )
        yield entry


def check_links(links: Mapping[bytes, bytes]) -> None:
    """Raises ``DataError`` for a symbolic link (path → target) that leads outside, by itself or through others."""
    for path in links:
        if _leads_outside(path, links):
            raise DataError(
                f"{told(path)} is a symbolic link that leads outside the repository, to {told(links[path])}: remove it"
            )


def told(path: bytes) -> str:
    """A path for a message: one line, whatever its bytes are."""
    text = path.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else repr(text)[1:-1]


def _leads_outside(path: bytes, links: Mapping[bytes, bytes]) -> bool:
    """Goes along ``path`` as the kernel does: ``..`` behind a link means the parent of what the link leads to."""
    ahead = path.split(b"/")[::-1]
    reached: list[bytes] = []
    followed = 0
    while ahead:
        part = ahead.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            if not reached:
                return True
            reached.pop()
            continue
        target = links.get(b"/".join([*reached, part]))
        if target is None:
            reached.append(part)
            continue
        followed += 1
        if target.startswith(b"/") or followed > _MOST_LINKS:
            # A circle of links leads nowhere; the kernel gives up as well.
            return target.startswith(b"/")
        ahead.extend(target.split(b"/")[::-1])
    return False
