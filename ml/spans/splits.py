"""The split that each content has, in every span, for ever: what keeps a sample from being trained on in one span and
evaluated on in another, under whatever name it comes back.

An append-only ledger, ``splits/<n>.bin``, n = 1, 2, …: each entry holds the contents that one span placed for the
first time, 33 bytes each (content hash, then ``t`` or ``e``), sorted. An entry is written under the condition that it
doesn't exist, so of two runs that decide at once one sees the other's decision and decides anew. It is written before
the span that needs it: a run that crashes in between finds its own decisions on its retry and repeats them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ml import layout
from ml.errors import ConflictError, DataError
from ml.spans.assignment import Split
from ml.storage import ABSENT, Storage

_HASH_BYTES = 32
_ROW_BYTES = _HASH_BYTES + 1
_LETTERS = {Split.TRAIN: b"t", Split.EVAL: b"e"}
_SPLITS = {letter[0]: split for split, letter in _LETTERS.items()}
_READ_ROWS = 8192


def entries(storage: Storage) -> int:
    """How many entries the ledger has."""
    stems = (info.name.rsplit("/", 1)[-1].removesuffix(".bin") for info in storage.list(layout.SPLITS))
    return max((int(stem) for stem in stems if stem.isdecimal()), default=0)


def read_entry(storage: Storage, number: int) -> Iterator[list[tuple[Split, bytes]]]:
    """The contents of one entry as ``(split, content hash)``, in lists of a few thousand.

    Raises ``DataError`` for a damaged entry: a guess could train on what another model is evaluated on.
    """
    with storage.open(layout.splits(number)) as stream:
        while data := stream.read(_ROW_BYTES * _READ_ROWS):
            while len(data) % _ROW_BYTES and (more := stream.read(_ROW_BYTES - len(data) % _ROW_BYTES)):
                data += more  # a store may answer with less than was asked for
            if len(data) % _ROW_BYTES or not _SPLITS.keys() >= set(data[_HASH_BYTES::_ROW_BYTES]):
                raise DataError(
                    f"{storage.uri(layout.splits(number))} is damaged (it ends within a row, or a row has no side): "
                    "restore it from a backup"
                )
            yield [
                (_SPLITS[data[end - 1]], data[end - _ROW_BYTES : end - 1])
                for end in range(_ROW_BYTES, len(data) + 1, _ROW_BYTES)
            ]


def append(storage: Storage, number: int, contents: Iterable[tuple[bytes, Split]], local: Path) -> bool:
    """Writes entry ``number`` by way of the local file; False where somebody else was first."""
    with local.open("wb") as stream:
        stream.writelines(content + _LETTERS[split] for content, split in contents)
    try:
        storage.upload(local, layout.splits(number), if_generation=ABSENT)
    except ConflictError:
        return False
    return True
