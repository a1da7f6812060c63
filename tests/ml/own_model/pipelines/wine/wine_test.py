"""The rows, and that the model reads them as the kind does."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import tensorflow as tf

from ml.kinds.kind import Part, Refused

from .kind import KIND
from .preprocessing import number_in
from .rows import COLUMNS, Row, read_row
from .sample_data import SAMPLES, write_samples

ROW = {column: number + 0.5 for number, column in enumerate(COLUMNS)}


def test_the_samples_are_laid_out_like_the_inbox_and_can_be_read(tmp_path: Path) -> None:
    write_samples(tmp_path)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    parts = [KIND.part_of(file.relative_to(tmp_path).as_posix()) for file in files]
    assert len(files) == SAMPLES
    assert {part.label for part in parts if isinstance(part, Part)} == {"class_0", "class_1", "class_2"}
    assert all(isinstance(read_row(file.read_bytes()), Row) for file in files)


@pytest.mark.parametrize("text", [json.dumps(ROW), json.dumps(dict(reversed(ROW.items())), indent=2)])
def test_the_model_reads_the_same_numbers_as_the_kind(text: str) -> None:
    row = read_row(text.encode())
    assert isinstance(row, Row)
    read = [number_in(tf.constant([text]), column).numpy()[0] for column in COLUMNS]
    np.testing.assert_array_equal(read, np.array(msgspec.structs.astuple(row), np.float32))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not a row: "),
        ("[1, 2]", "not a row: Expected `object`"),
        (json.dumps({**ROW, "ash": None}), "$.ash"),
        (json.dumps({**ROW, "ash": 1e39}), "$.ash"),
        (json.dumps({**ROW, "price": 3}), "unknown field `price`"),
        (json.dumps({key: ROW[key] for key in COLUMNS[1:]}), "required field `alcohol`"),
        (json.dumps(ROW).replace('"ash"', '"\\u0061sh"'), "escape"),
    ],
)
def test_what_is_no_row_is_refused_with_its_reason(text: str, told: str) -> None:
    reason = read_row(text.encode())
    assert isinstance(reason, Refused)
    assert told in reason
