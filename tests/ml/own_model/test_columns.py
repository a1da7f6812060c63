"""Columns of any name: what the kind accepts as a row, the exported model reads, and as the same numbers."""

from __future__ import annotations

import ast
import html
import importlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml.evaluation.drift import numeric_drift
from ml.evaluation.report.drift_charts import histograms
from ml.kinds.kind import Refused
from ml.pipeline_modules import bind_pipeline
from tests.ml.own_model.test_by_the_page import WINE

#: Rows are floats in the model: the least that differs from zero without losing bits.
SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)

#: What could be taken for the syntax of JSON, of an expression, or of a number.
CHARACTERS = st.sampled_from("\":,{}[]()\\/.*+?$^|' -0e1\n\t\0é中😀") | st.characters(codec="utf-8")
WORDS = st.sampled_from(["floatList", "value", "features", "@type", "label", "split", "null"])
NAMES = st.lists(st.text(CHARACTERS, max_size=12) | WORDS, min_size=1, max_size=6, unique=True)
#: Seldom too large for a row.
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,20})?([eE](\+?[0-4]|-[0-9]{1,3}))?", fullmatch=True)
SPACE = st.text(" \t\r\n", max_size=2)


@pytest.fixture(scope="module")
def wine() -> Any:
    """Gives the example's modules by name."""
    bind_pipeline("wine", WINE)
    return lambda name: importlib.import_module(f"ml.pipelines.wine.{name}")


@st.composite
def written_rows(draw: st.DrawFn) -> tuple[list[str], str]:
    """Columns, and a row of them in any way of writing that JSON allows."""
    columns = draw(NAMES)

    def written(column: str) -> str:
        key = json.dumps(column, ensure_ascii=draw(st.booleans()))
        return "".join((draw(SPACE), key, draw(SPACE), ":", draw(SPACE), draw(NUMBERS), draw(SPACE)))

    pairs = [written(column) for column in draw(st.permutations(columns))]
    return columns, f"{draw(SPACE)}{{{','.join(pairs)}}}{draw(SPACE)}"


@settings(deadline=None)
@given(written_rows())
@example((["a", ": 5,x"], '{"a":1e5,": 5,x":2}'))
@example((["a", 'b":1,"a'], '{"b\\":1,\\"a":16777217,"a":-0}'))
@example((["radius", "mean radius", "radius (mean)"], '{"mean radius":1,"radius (mean)":2,"radius":3}'))
@example((["[7]", '{"floatList":{"value":[7]'], '{"{\\"floatList\\":{\\"value\\":[7]":1.5,"[7]":2}'))
def test_the_model_reads_what_the_kind_accepts_as_the_same_numbers(wine: Any, row: tuple[list[str], str]) -> None:
    columns, text = row
    expected = wine("rows").read_row(text.encode(), columns)
    if isinstance(expected, Refused):
        assert "has to be a number from" in expected
        return
    read = wine("preprocessing").numbers_in(tf.constant([text]), columns)
    # TensorFlow may take a denormal number for zero.
    np.testing.assert_allclose(read, [expected], rtol=0, atol=SMALLEST_NORMAL)


@settings(deadline=None)
@given(NAMES)
def test_the_module_of_columns_holds_the_names(wine: Any, columns: list[str]) -> None:
    statement = ast.parse(wine("find_columns").module_of(columns)).body[-1]
    assert isinstance(statement, ast.AnnAssign)
    assert statement.value is not None
    assert ast.literal_eval(statement.value) == tuple(columns)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, "holds no file *.json: name the folder that your rows are in"),
        ("{", "is not JSON: "),
        ("[1]", "is not a row: write one JSON object of numbers"),
        ("{}", "is not a row: write one JSON object of numbers"),
        ('{"a": 1, "b": true}', '"b" is not a number: write one in each row, or leave it out'),
    ],
)
def test_no_columns_are_found_in_what_is_not_a_row(wine: Any, tmp_path: Path, row: str | None, reason: str) -> None:
    if row is not None:
        (tmp_path / "1.json").write_text(row)
    with pytest.raises(SystemExit, match=re.escape(reason)):
        wine("find_columns").columns_in(tmp_path)


def test_drift_is_measured_and_drawn_of_columns_of_any_name() -> None:
    names = ["mean radius (mm)", "price ($) [$_/kg^]", "a.b", "<b>", "x" * 100]
    columns = {name: np.linspace(0, 1, 50, dtype=np.float32) for name in names}
    drift = numeric_drift(columns, columns, 0.1)
    assert {one.feature: one.value for one in drift} == dict.fromkeys(names, 0.0)
    chart = histograms(drift, columns, columns)
    assert chart is not None
    assert all(title in html.unescape(chart.svg) for title in (*names[:-1], f"{'x' * 18}…{'x' * 9}"))
