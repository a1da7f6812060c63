"""JSON Lines, decoded part by part: typed, and ten times as fast as ``json.loads`` on each line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, Generic, TypeVar

import msgspec

from ml.errors import DataError
from ml.storage import Storage

T = TypeVar("T")

#: Bytes decoded at a time: enough to be fast, little enough that memory stays flat.
_PART = 1 << 20


@dataclass(frozen=True)
class Part(Generic[T]):
    """Consecutive lines of an object. ``rows`` are its lines decoded, blank ones left out."""

    rows: list[T]
    _data: bytes
    _first: int

    def line(self, position: int) -> bytes:
        """The line that ``rows[position]`` was decoded from."""
        return self._lines[position]

    def number(self, position: int) -> int:
        """The number of that line in the object, from 1."""
        return [number for number, _ in _numbered(self._data, self._first)][position]

    @cached_property
    def _lines(self) -> list[bytes]:
        lines = self._data.split(b"\n")
        blank = len(lines) > len(self.rows) + (not lines[-1])
        return [line for line in lines if line.strip()] if blank else lines


def decode_parts(storage: Storage, name: str, row: type[T], reach: range | None = None) -> Iterator[Part[T]]:
    """The object's lines as ``row``, part by part in their order. Raises ``DataError`` naming a line that isn't one.

    With ``reach`` only those lines whose first byte is in it (the object has to be seekable, and lines are numbered
    from there): ranges that together cover the object give each line once.
    """
    decoder = msgspec.json.Decoder(row)
    first = 1
    with storage.open(name) as stream:
        for data in _whole_lines(stream, reach):
            yield Part(_decode(decoder, data, first, storage.uri(name)), data, first)
            first += data.count(b"\n")


def _decode(decoder: msgspec.json.Decoder[T], data: bytes, first: int, where: str) -> list[T]:
    try:
        rows: list[T] = decoder.decode_lines(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        rows = []
    if len(rows) == data.count(b"\n") + (not data.endswith(b"\n")):
        return rows
    # Something is not one value to a line: one by one, to tell which line it is, or that it was only blank ones.
    rows = []
    for number, line in _numbered(data, first):
        try:
            rows.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{where}, line {number}: {error}") from error
    return rows


def _numbered(data: bytes, first: int) -> Iterator[tuple[int, bytes]]:
    return ((number, line) for number, line in enumerate(data.split(b"\n"), first) if line.strip())


def _whole_lines(stream: BinaryIO, reach: range | None) -> Iterator[bytes]:
    left = None if reach is None else _enter(stream, reach)
    rest = b""
    while data := stream.read(_PART if left is None else min(_PART, max(left, 0))):
        if left is not None:
            left -= len(data)
            if left <= 0:  # The last line in reach may end beyond it.
                data += b"" if data.endswith(b"\n") else stream.readline()
        cut = data.rfind(b"\n") + 1
        if cut:
            yield rest + data[:cut]
            rest = data[cut:]
        else:
            rest += data
    if rest:
        yield rest


def _enter(stream: BinaryIO, reach: range) -> int:
    """Moves to the first line that begins in ``reach``; returns how many bytes of it are left."""
    if reach.start > 0:
        stream.seek(reach.start - 1)
        stream.readline()
    return reach.stop - stream.tell()
