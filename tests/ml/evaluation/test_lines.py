"""JSON Lines, decoded part by part."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.evaluation.lines import decode_parts
from ml.storage import open_storage


@pytest.mark.parametrize("ended", [False, True])
def test_a_part_gives_the_line_and_the_number_of_each_row(tmp_path: Path, ended: bool) -> None:
    storage = open_storage(f"file://{tmp_path}")
    for lines in ([b"1", b" 22", b"3"], [b"", b"1", b" ", b" 22", b"3"]):
        storage.write("numbers", b"\n".join(lines) + (b"\n" if ended else b""))
        (part,) = decode_parts(storage, "numbers", int)
        told = [(part.line(position), part.number(position)) for position in range(len(part.rows))]
        assert told == [(line, number) for number, line in enumerate(lines, 1) if line.strip()]


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"", b"1", b"22", b"4444444"]), max_size=30), st.integers(1, 12), st.booleans())
def test_ranges_that_cover_an_object_give_each_line_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], pieces: int, ended: bool
) -> None:
    storage = open_storage(f"file://{tmp_path_factory.mktemp('ranges')}")
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    storage.write("numbers", data)
    bounds = [len(data) * piece // pieces for piece in range(pieces + 1)]
    found = [
        number
        for start, stop in itertools.pairwise(bounds)
        for part in decode_parts(storage, "numbers", int, range(start, stop))
        for number in part.rows
    ]
    assert found == [int(line) for line in lines if line]
