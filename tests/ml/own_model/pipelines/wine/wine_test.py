"""The rows, and that the model reads them as the kind does. Nothing here depends on which columns there are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ml.kinds.kind import Part, Refused

from .columns import COLUMNS
from .find_columns import columns_in
from .kind import KIND
from .preprocessing import numbers_in
from .rows import read_row
from .sample_data import write_samples

ROW = {column: number - 0.5 for number, column in enumerate(COLUMNS)}
FIRST = COLUMNS[0]


def test_the_samples_are_laid_out_like_the_inbox_and_can_be_read(tmp_path: Path) -> None:
    write_samples(tmp_path)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    parts = [KIND.part_of(file.relative_to(tmp_path).as_posix()) for file in files]
    assert [part for part in parts if not isinstance(part, Part)] == []
    assert len({part.label for part in parts if isinstance(part, Part)}) >= 2
    assert [row for file in files if isinstance(row := read_row(file.read_bytes()), Refused)] == []
    assert sorted(columns_in(tmp_path)) == sorted(COLUMNS)


@pytest.mark.parametrize("text", [json.dumps(ROW), json.dumps(dict(reversed(ROW.items())), indent=2)])
def test_the_model_reads_the_same_numbers_as_the_kind(text: str) -> None:
    expected = np.array([list(ROW.values())], np.float32)
    np.testing.assert_array_equal([read_row(text.encode())], expected)
    np.testing.assert_array_equal(numbers_in(tf.constant([text]), COLUMNS), expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a row: "),
        ("[" * 100_000, "not a row: "),
        ("[1, 2]", "a JSON object of numbers"),
        (json.dumps({**ROW, FIRST: None}), "has to be a number"),
        (json.dumps({**ROW, FIRST: True}), "has to be a number"),
        (json.dumps({**ROW, FIRST: {FIRST: 1}}), "has to be a number"),
        (json.dumps({**ROW, FIRST: float("nan")}), "has to be a number"),
        (json.dumps({**ROW, FIRST: 1e16}), "has to be a number"),
        (json.dumps({**ROW, "no such column": 3}), '"no such column" is not one of the columns'),
        (json.dumps({column: ROW[column] for column in COLUMNS[1:]}), "is missing"),
        (json.dumps(ROW)[:-1] + f", {json.dumps(FIRST)}: 3}}", "is there twice"),
    ],
)
def test_what_is_not_a_row_is_refused_with_its_reason(text: str, reason: str) -> None:
    refused = read_row(text.encode())
    assert isinstance(refused, Refused)
    assert reason in refused
    assert "\n" not in refused
