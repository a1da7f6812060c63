"""Which contents a published span holds, in the order of its examples, and which of them a later span holds again.

A split's TFRecord files hold its examples sorted by content, and ``samples.jsonl.gz`` has the content of each: so the
i-th smallest content of a split belongs to its i-th example. That finds an example without reading any. Light.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt

from ml.spans.assignment import Split
from ml.spans.damage import DamageError
from ml.spans.truths import TRUTH_BYTES, LeftOut

Keys = npt.NDArray[np.bytes_]
Truths = npt.NDArray[np.uint64]
Marks = npt.NDArray[np.bool_]

_CONTENT_BYTES = 32
_KEY_BYTES = 16
_KEY = np.dtype(f"S{_KEY_BYTES}")
_TRUTH = np.dtype(f">u{TRUTH_BYTES}")
#: In place of the truth of a sample in a span that was prepared before truths were recorded.
_UNKNOWN = bytes(TRUTH_BYTES)


@dataclass(frozen=True, eq=False, slots=True)
class Contents:
    """A split's contents, sorted, and the truth of each. 24 bytes for each example.

    ``keys`` are the first 16 bytes of the contents (SHA-256): of 2^32 contents two share them with probability 2^-65.
    ``truths`` are short digests, 0 for an unknown one.
    """

    keys: Keys
    truths: Truths

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, eq=False, slots=True)
class Superseded:
    """``marks`` those of a span's contents in a split that a later span holds again; ``counts`` says how many."""

    marks: Marks
    counts: LeftOut


class _Sample(msgspec.Struct):
    """The part of a ``ml.records.SpanSample`` that is needed here."""

    fate: str
    content: str | None = None
    truth: str | None = None


def contents_of(compressed: BinaryIO) -> Mapping[Split, Contents]:
    """The contents of each split of the span whose ``samples.jsonl.gz`` this is. Raises ``DamageError``."""
    keys, truths = ({split.value: bytearray() for split in Split} for _ in range(2))
    decoder = msgspec.json.Decoder(_Sample)
    try:
        with gzip.open(compressed) as lines:
            for line in lines:
                sample = decoder.decode(line)
                if sample.fate in keys:
                    keys[sample.fate] += _digest(sample.content, _CONTENT_BYTES)[:_KEY_BYTES]
                    truths[sample.fate] += _UNKNOWN if sample.truth is None else _digest(sample.truth, TRUTH_BYTES)
    except (EOFError, gzip.BadGzipFile, zlib.error, msgspec.DecodeError, ValueError) as error:
        raise DamageError(str(error)) from error
    return {split: _sorted(bytes(keys[split.value]), bytes(truths[split.value])) for split in Split}


def superseded(spans: Sequence[Contents]) -> list[Superseded]:
    """What to leave out of each span, so that each of one split's contents stays once, as the newest span has it.

    ``spans`` are in the order of their numbers.
    """
    later = _sorted(b"", b"")
    found: list[Superseded] = []
    for contents in reversed(spans):
        place = np.searchsorted(later.keys, contents.keys)
        marks = place < len(later)
        marks[marks] = later.keys[place[marks]] == contents.keys[marks]
        found.append(Superseded(marks, _counts(contents.truths[marks], later.truths[place[marks]])))
        keys = np.concatenate([later.keys, contents.keys[~marks]])
        order = np.argsort(keys, kind="stable")
        later = Contents(keys[order], np.concatenate([later.truths, contents.truths[~marks]])[order])
    return found[::-1]


def _counts(old: Truths, new: Truths) -> LeftOut:
    known = (old != 0) & (new != 0)
    corrected = int(np.sum(known & (old != new)))
    return LeftOut(corrected=corrected, repeated=int(known.sum()) - corrected, unknown=int(np.sum(~known)))


def _sorted(keys: bytes, truths: bytes) -> Contents:
    found = np.frombuffer(keys, _KEY)
    order = np.argsort(found, kind="stable")
    return Contents(found[order], np.frombuffer(truths, _TRUTH)[order].astype(np.uint64))


def _digest(text: str | None, size: int) -> bytes:
    digest = bytes.fromhex(text or "")
    if len(digest) != size:
        raise ValueError(f"a digest has {len(digest)} bytes, not {size}")
    return digest
