"""JSON Lines, decoded part by part: typed, and ten times as fast as ``json.loads`` on each line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, Generic, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from ml.errors import DataError
from ml.storage import Storage

T = TypeVar("T")

#: Bytes decoded at a time: enough to be fast, little enough that memory stays flat.
_PART = 1 << 20
_NEWLINE = ord("\n")


@dataclass(frozen=True)
class Part(Generic[T]):
    """Consecutive lines of an object. ``rows`` are its lines decoded, blank ones left out."""

    rows: list[T]
    _data: bytes
    _ends: npt.NDArray[np.int64]
    _first: int

    def line(self, position: int) -> bytes:
        """The line that ``rows[position]`` was decoded from."""
        return _line(self._data, self._ends, self._index(position))

    def number(self, position: int) -> int:
        """The number of that line in the object, from 1."""
        return self._first + self._index(position)

    def _index(self, position: int) -> int:
        return position if len(self.rows) == len(self._ends) else self._filled[position]

    @cached_property
    def _filled(self) -> list[int]:
        return _filled(self._data, self._ends)


def decode_parts(storage: Storage, name: str, row: type[T], reach: range | None = None) -> Iterator[Part[T]]:
    """The object's lines as ``row``, part by part in their order. Raises ``DataError`` naming a line that isn't one.

    With ``reach`` only those lines whose first byte is in it (the object has to be seekable, and lines are numbered
    from there): ranges that together cover the object give each line once.
    """
    decoder = msgspec.json.Decoder(row)
    first = 1
    with storage.open(name) as stream:
        for data in _whole_lines(stream, reach):
            ends = _line_ends(data)
            yield Part(_decode(decoder, data, ends, first, storage.uri(name)), data, ends, first)
            first += len(ends)


def _decode(
    decoder: msgspec.json.Decoder[T], data: bytes, ends: npt.NDArray[np.int64], first: int, where: str
) -> list[T]:
    try:
        rows: list[T] = decoder.decode_lines(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        rows = []
    if len(rows) == len(ends):
        return rows
    # Something is not one value to a line: one by one, to tell which line it is, or that it was only blank ones.
    rows = []
    for index in _filled(data, ends):
        try:
            rows.append(decoder.decode(_line(data, ends, index)))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{where}, line {first + index}: {error}") from error
    return rows


def _line_ends(data: bytes) -> npt.NDArray[np.int64]:
    """Where each line ends. NumPy finds them in less time than ``bytes`` takes to count them."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == _NEWLINE)
    return ends if data.endswith(b"\n") else np.append(ends, len(data))


def _line(data: bytes, ends: npt.NDArray[np.int64], index: int) -> bytes:
    return data[ends[index - 1] + 1 if index else 0 : ends[index]]


def _filled(data: bytes, ends: npt.NDArray[np.int64]) -> list[int]:
    """Which lines are not blank."""
    return [index for index in range(len(ends)) if _line(data, ends, index).strip()]


def _whole_lines(stream: BinaryIO, reach: range | None) -> Iterator[bytes]:
    left = None if reach is None else _enter(stream, reach)
    while data := stream.read(_PART if left is None else min(_PART, max(left, 0))):
        if not data.endswith(b"\n"):
            data += stream.readline()  # the last line in reach may end beyond it
        if left is not None:
            left -= len(data)
        yield data


def _enter(stream: BinaryIO, reach: range) -> int:
    """Moves to the first line that begins in ``reach``; returns how many bytes of it are left."""
    if reach.start > 0:
        stream.seek(reach.start - 1)
        stream.readline()
    return reach.stop - stream.tell()
