"""Which contents a span holds, which of them a later span holds again, and what damage its files can have."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
from collections.abc import Iterable

import pytest

from ml.records import SampleFate, SpanSample
from ml.spans.assignment import Split
from ml.spans.contents import Contents, contents_of, superseded
from ml.spans.damage import DamageError
from ml.spans.shards import frame, read_framed, write_framed
from ml.spans.truths import LeftOut, truth_digest

RECORDS = [b"one", b"", b"three " * 9]


def sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def samples(rows: Iterable[tuple[str, str | None, str | None]]) -> io.BytesIO:
    """``samples.jsonl.gz`` of rows of fate, content and truth."""
    lines = [
        SpanSample(object="o", generation="1", fate=SampleFate(fate), content=content, truth=truth).to_json()
        for fate, content, truth in rows
    ]
    return io.BytesIO(gzip.compress(b"".join(line.replace(b"\n", b"") + b"\n" for line in lines)))


def file_of(records: Iterable[bytes]) -> bytes:
    stream = io.BytesIO()
    write_framed(map(frame, records), stream)
    return stream.getvalue()


def split_of(rows: dict[str, str | None]) -> Contents:
    """content → truth, None for an unknown one."""
    return contents_of(
        samples([("train", sha(name), None if truth is None else truth_digest(truth)) for name, truth in rows.items()])
    )[Split.TRAIN]


def test_each_split_has_the_contents_of_its_examples_sorted() -> None:
    train, evaluated = [("train", sha(name), None) for name in "ba"], [("eval", sha("e"), None)]
    rows = [*train, ("duplicate", sha("b"), None), ("refused", None, None), *evaluated]
    assert {split: found.keys.tolist() for split, found in contents_of(samples(rows)).items()} == {
        Split.TRAIN: sorted(bytes.fromhex(sha(name))[:16] for name in "ab"),
        Split.EVAL: [bytes.fromhex(sha("e"))[:16]],
    }


def test_a_truth_stays_with_its_content() -> None:
    truths = {name: f"truth of {name}" for name in "abcdefgh"}
    found = split_of(dict(truths))
    by_content = {bytes.fromhex(sha(name))[:16]: int(truth_digest(truth), 16) for name, truth in truths.items()}
    assert dict(zip(found.keys.tolist(), found.truths.tolist(), strict=True)) == by_content


def test_contents_that_end_in_zeros_are_apart_from_shorter_ones() -> None:
    zeros, one = (contents_of(samples([("train", text, None)]))[Split.TRAIN] for text in ("00" * 32, "01" + "00" * 31))
    assert superseded([zeros, zeros])[0].marks.tolist() == [True]
    assert superseded([one, zeros])[0].marks.tolist() == [False]


def test_of_a_content_in_several_spans_all_but_the_newest_are_superseded() -> None:
    spans = [dict.fromkeys(names, "same") for names in ("abc", "b", "abd", "")]
    found = superseded([split_of(dict(names)) for names in spans])
    left = [
        {key for key, mark in zip(sorted(names, key=sha), one.marks, strict=True) if not mark}
        for names, one in zip(spans, found, strict=True)
    ]
    assert left == [{"c"}, set(), {"a", "b", "d"}, set()]
    assert [one.counts.total for one in found] == [2, 1, 0, 0]
    assert superseded([]) == []


def test_a_corrected_truth_is_counted_apart_from_a_repeated_one_and_an_unknown_one() -> None:
    first = split_of({"corrected": "3", "repeated": "3", "old": None, "back": "3"})
    second = split_of({"corrected": "8", "repeated": "3", "old": "3", "back": "8"})
    third = split_of({"back": "3"})
    assert [one.counts for one in superseded([first, second, third])] == [
        LeftOut(corrected=1, repeated=2, unknown=1),
        LeftOut(corrected=1),
        LeftOut(),
    ]
    assert superseded([second, split_of({"old": None})])[0].counts == LeftOut(unknown=1)


@pytest.mark.parametrize(
    "data",
    [
        samples([("train", sha("a"), None)]).getvalue()[:-9],
        b"no gzip",
        gzip.compress(b"no json\n"),
        samples([("train", "not hex", None)]).getvalue(),
        samples([("train", "00", None)]).getvalue(),
        samples([("train", None, None)]).getvalue(),
        samples([("train", sha("a"), "ab")]).getvalue(),
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
