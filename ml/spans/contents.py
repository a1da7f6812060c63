"""Which contents a published span holds, in the order of its examples, and which of them a later span holds again.

A split's TFRecord files hold its examples sorted by content, and ``samples.jsonl.gz`` has the content of each: so the
i-th smallest content of a split belongs to its i-th example. That finds an example without reading any. Light.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt

from ml.spans.assignment import Split
from ml.spans.damage import DamageError

#: The first 16 bytes of each content (a SHA-256), sorted: among 2^32 contents two share them with probability 2^-65.
Contents = npt.NDArray[np.bytes_]
Marks = npt.NDArray[np.bool_]

_CONTENT_BYTES = 32
_KEY_BYTES = 16
_KEY = np.dtype(f"S{_KEY_BYTES}")


class _Sample(msgspec.Struct):
    """The part of a ``ml.records.SpanSample`` that is needed here."""

    fate: str
    content: str | None = None


def contents_of(compressed: BinaryIO) -> Mapping[Split, Contents]:
    """The contents of each split of the span whose ``samples.jsonl.gz`` this is. Raises ``DamageError``.

    Memory: 16 bytes for each example.
    """
    keys = {split: bytearray() for split in Split}
    by_fate = {split.value: found for split, found in keys.items()}
    decoder = msgspec.json.Decoder(_Sample)
    try:
        with gzip.open(compressed) as lines:
            for line in lines:
                sample = decoder.decode(line)
                if (found := by_fate.get(sample.fate)) is not None:
                    found += _key(sample.content or "")
        return {split: np.sort(np.frombuffer(bytes(found), _KEY)) for split, found in keys.items()}
    except (EOFError, gzip.BadGzipFile, zlib.error, msgspec.DecodeError, ValueError) as error:
        raise DamageError(str(error)) from error


def _key(content: str) -> bytes:
    digest = bytes.fromhex(content)
    if len(digest) != _CONTENT_BYTES:
        raise ValueError(f"a content has {len(digest)} bytes")
    return digest[:_KEY_BYTES]


def superseded(spans: Sequence[Contents]) -> list[Marks]:
    """Marks, for each of one split's contents in each span, those that a later span holds again.

    ``spans`` are in the order of their numbers. What isn't marked holds each content once, as the newest span has it.
    """
    later = np.empty(0, _KEY)
    marks: list[Marks] = []
    for contents in reversed(spans):
        marks.append(np.isin(contents, later, assume_unique=True))
        later = np.union1d(later, contents)
    return marks[::-1]
