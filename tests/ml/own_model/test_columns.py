"""Columns of any name: what the kind accepts as a row, the exported model reads, and as the same numbers."""

from __future__ import annotations

import html
import json
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st

from ml.evaluation.drift import numeric_drift
from ml.evaluation.report.drift_charts import histograms
from ml.kinds.kind import Refused
from ml.pipeline_modules import bind_pipeline
from tests.ml.own_model.test_by_the_page import WINE

#: Rows are floats in the model: the least that differs from zero without losing bits.
SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)

NAMES = st.lists(
    st.text(st.one_of(st.sampled_from('":,{}[]()\\/.*+?$^|\' -0e1\n\t\0é中😀'), st.characters(codec="utf-8")), max_size=12)
    | st.sampled_from(["floatList", "value", "features", "@type", "label", "split", "null"]),
    min_size=1,
    max_size=6,
    unique=True,
)
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
SPACE = st.text(" \t\r\n", max_size=2)


@pytest.fixture(scope="module")
def wine() -> Any:
    """The example's modules that read rows."""
    bind_pipeline("wine", WINE)
    from ml.pipelines.wine import find_columns, preprocessing, rows  # type: ignore[attr-defined,unused-ignore]

    class Modules:
        read_row = staticmethod(rows.read_row)
        quoted = staticmethod(rows.quoted)
        numbers_in = staticmethod(preprocessing.numbers_in)
        module_of = staticmethod(find_columns.module_of)

    return Modules


@st.composite
def written_rows(draw: st.DrawFn) -> tuple[list[str], str]:
    """Columns, and a row of them in any way of writing that JSON allows."""
    columns = draw(NAMES)

    def written(column: str) -> str:
        key = json.dumps(column, ensure_ascii=draw(st.booleans()))
        return "".join((draw(SPACE), key, draw(SPACE), ":", draw(SPACE), draw(NUMBERS), draw(SPACE)))

    pairs = [written(column) for column in draw(st.permutations(columns))]
    return columns, f"{draw(SPACE)}{{{','.join(pairs)}}}{draw(SPACE)}"


@given(written_rows())
@example((["a", ": 5,x"], '{"a":1e5,": 5,x":2}'))
@example((["a", 'b":1,"a'], '{"b\\":1,\\"a":16777217,"a":-0}'))
@example((["radius", "mean radius", "radius (mean)"], '{"mean radius":1,"radius (mean)":2,"radius":3}'))
@example((["[7]", '{"floatList":{"value":[7]'], '{"{\\"floatList\\":{\\"value\\":[7]":1.5,"[7]":2}'))
def test_the_model_reads_what_the_kind_accepts_as_the_same_numbers(wine: Any, row: tuple[list[str], str]) -> None:
    columns, text = row
    expected = wine.read_row(text.encode(), columns)
    if isinstance(expected, Refused):
        assert "has to be a number from" in expected
        return
    read = wine.numbers_in(tf.constant([text]), columns)
    # TensorFlow may take a denormal number for zero.
    np.testing.assert_allclose(read, [expected], rtol=0, atol=SMALLEST_NORMAL)


@given(NAMES)
def test_the_module_of_columns_holds_the_names(wine: Any, columns: list[str]) -> None:
    module: dict[str, Any] = {}
    exec(wine.module_of(columns), module)
    assert module["COLUMNS"] == tuple(columns)


def test_drift_is_measured_and_drawn_of_columns_of_any_name() -> None:
    names = ["mean radius (mm)", "price ($) [$_/kg^]", "a.b", "<b>", "x" * 100]
    columns = {name: np.linspace(0, 1, 50, dtype=np.float32) for name in names}
    drift = numeric_drift(columns, columns, 0.1)
    assert {one.feature: one.value for one in drift} == dict.fromkeys(names, 0.0)
    chart = histograms(drift, columns, columns)
    assert chart is not None
    assert all(title in html.unescape(chart.svg) for title in (*names[:-1], f"{'x' * 18}…{'x' * 9}"))
