from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml.spans.columns import ColumnsWriter, decode_columns


def test_numpy_loads_what_was_written_block_by_block(tmp_path: Path) -> None:
    with ColumnsWriter(tmp_path / "s.npz", {"label": "<U3", "width": "<f4"}, 3) as writer:
        writer.write({"label": ["a", "ünï"], "width": [1, 2.5]})
        writer.write({"label": ["c"], "width": [3]})
    with np.load(tmp_path / "s.npz", allow_pickle=False) as columns:
        assert columns["label"].tolist() == ["a", "ünï", "c"]
        assert columns["width"].tolist() == [1.0, 2.5, 3.0]
        assert columns["width"].dtype == np.float32
    assert [file.name for file in tmp_path.iterdir()] == ["s.npz"]


def test_nothing_is_left_where_the_writing_failed(tmp_path: Path) -> None:
    with pytest.raises(KeyError), ColumnsWriter(tmp_path / "s.npz", {"label": "<U3", "width": "<f4"}, 1) as writer:
        writer.write({"label": ["a"]})
    assert list(tmp_path.iterdir()) == []


def test_columns_are_read_by_the_names_they_were_written_by(tmp_path: Path) -> None:
    names = ["a", "a.npy", "mean radius (mm)", "[1]/2", "..", "größe", "{x}: 1"]
    with ColumnsWriter(tmp_path / "s.npz", dict.fromkeys(names, "<f4"), 1) as writer:
        writer.write({name: [number] for number, name in enumerate(names)})
    columns = decode_columns((tmp_path / "s.npz").read_bytes())
    assert {name: values.tolist() for name, values in columns.items()} == {n: [k] for k, n in enumerate(names)}
