"""Which contents a span holds, which of them a later span holds again, and what damage its files can have."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
from collections.abc import Iterable

import numpy as np
import pytest

from ml.spans.assignment import Split
from ml.spans.contents import contents_of, superseded
from ml.spans.damage import DamageError
from ml.spans.shards import frame, read_framed, write_framed

RECORDS = [b"one", b"", b"three " * 9]


def sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def samples(rows: Iterable[tuple[str, str | None]]) -> io.BytesIO:
    lines = [json.dumps({"object": "o", "generation": "1", "fate": fate, "content": content}) for fate, content in rows]
    return io.BytesIO(gzip.compress("\n".join(lines).encode()))


def file_of(records: Iterable[bytes]) -> bytes:
    stream = io.BytesIO()
    write_framed(map(frame, records), stream)
    return stream.getvalue()


def test_each_split_has_the_contents_of_its_examples_sorted() -> None:
    train, evaluated = [("train", sha(name)) for name in "ba"], [("eval", sha("e"))]
    found = contents_of(samples([*train, ("duplicate", sha("b")), ("refused", None), *evaluated]))
    assert {split: keys.tolist() for split, keys in found.items()} == {
        Split.TRAIN: sorted(bytes.fromhex(sha(name))[:16] for name in "ab"),
        Split.EVAL: [bytes.fromhex(sha("e"))[:16]],
    }


def test_contents_that_end_in_zeros_are_apart_from_shorter_ones() -> None:
    zeros, ones = "00" * 32, "01" + "00" * 31
    [train, _] = contents_of(samples([("train", zeros), ("train", ones)])).values()
    assert superseded([train, train])[0].tolist() == [True, True]
    assert superseded([train[:1], train[1:]])[0].tolist() == [False]


def test_of_a_content_in_several_spans_all_but_the_newest_are_superseded() -> None:
    spans = [np.array(names, "S16") for names in (["a", "b", "c"], ["b"], ["a", "b", "d"], [])]
    assert [marks.tolist() for marks in superseded(spans)] == [[True, True, False], [True], [False] * 3, []]
    assert superseded([]) == []


@pytest.mark.parametrize(
    "data",
    [
        samples([("train", sha("a"))]).getvalue()[:-9],
        b"no gzip",
        gzip.compress(b"no json\n"),
        samples([("train", "not hex")]).getvalue(),
        samples([("train", "00")]).getvalue(),
        samples([("train", None)]).getvalue(),
    ],
)
def test_a_damaged_list_of_samples_is_noticed(data: bytes) -> None:
    with pytest.raises(DamageError):
        contents_of(io.BytesIO(data))


def test_framed_records_are_read_back() -> None:
    assert list(read_framed(io.BytesIO(file_of(RECORDS)))) == list(map(frame, RECORDS))
    assert list(read_framed(io.BytesIO(file_of([])))) == []


def test_every_shortened_file_and_every_flipped_bit_is_noticed() -> None:
    data = file_of(RECORDS)
    for size in range(1, len(data)):
        with pytest.raises(DamageError):
            list(read_framed(io.BytesIO(data[:size])))
    read = 0
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(DamageError):
            assert list(read_framed(io.BytesIO(flipped))) == list(map(frame, RECORDS))
            read += 1
    assert read < 8 * 10, "all but bits of gzip's header and of padding, which say nothing of the records"


@pytest.mark.parametrize("position", [0, 5, 8, 11, 12, -1])
def test_records_that_were_damaged_before_they_were_compressed_are_noticed(position: int) -> None:
    framed = bytearray(frame(b"a record"))
    framed[position] ^= 1
    with pytest.raises(DamageError):
        list(read_framed(io.BytesIO(gzip.compress(framed))))
