"""Drift against plain formulas."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import DataError
from ml.evaluation.drift import label_drift, numeric_drift


def test_equal_shares_have_not_drifted() -> None:
    drift = label_drift("labels", {"a": 10, "b": 30}, {"a": 100, "b": 300}, 0.1)
    assert drift.value == pytest.approx(0, abs=1e-9)
    assert not drift.exceeded


def test_the_largest_difference_of_shares_counts() -> None:
    drift = label_drift("labels", {"a": 50, "b": 50}, {"a": 90, "b": 10}, 0.39)
    assert drift.value == pytest.approx(0.4)
    assert drift.exceeded


def test_areas_count_as_well_as_samples_however_small() -> None:
    window, batch = {"road": 0.004, "sky": 0.006}, {"road": 900.5, "sky": 99.5, "lane": 0.0}
    assert label_drift("labels", window, batch, None).value == pytest.approx(0.5005, abs=1e-5)


def test_a_label_that_is_new_or_gone_counts_from_zero() -> None:
    assert label_drift("labels", {"a": 1}, {"b": 1}, None).value == pytest.approx(1)


def test_a_thousand_labels_all_count() -> None:
    window = {str(number): 1 for number in range(1000)}
    assert label_drift("labels", window, {"999": 1}, None).value == pytest.approx(0.999)


@pytest.mark.parametrize(("window", "batch"), [({}, {"a": 1}), ({"a": 1}, {}), ({"a": 0}, {"a": 1})])
def test_nothing_to_compare_is_an_error(window: dict[str, int], batch: dict[str, int]) -> None:
    with pytest.raises(DataError, match="no labels of the"):
        label_drift("labels", window, batch, None)


counts = st.dictionaries(st.text(min_size=1, max_size=5), st.integers(1, 1000), min_size=1, max_size=8)


@settings(max_examples=20, deadline=None)
@given(counts, counts)
def test_it_is_the_l_infinity_distance(window: dict[str, int], batch: dict[str, int]) -> None:
    totals = sum(window.values()), sum(batch.values())
    expected = max(
        abs(window.get(label, 0) / totals[0] - batch.get(label, 0) / totals[1]) for label in {*window, *batch}
    )
    assert label_drift("labels", window, batch, None).value == pytest.approx(expected, abs=1e-5)


def normal(mean: float, count: int, seed: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(mean, 0.05, count).astype(np.float32)


def test_the_same_images_in_another_number_have_hardly_drifted() -> None:
    (drift,) = numeric_drift({"brightness": normal(0.3, 2000, 1)}, {"brightness": normal(0.3, 1000, 2)}, 0.1)
    assert drift.value < 0.05
    assert not drift.exceeded


def test_other_images_have_drifted() -> None:
    (drift,) = numeric_drift({"brightness": normal(0.3, 2000, 1)}, {"brightness": normal(0.7, 1000, 2)}, 0.1)
    assert drift.value > 0.9
    assert drift.exceeded


@pytest.mark.parametrize(("batch", "value"), [(8, 0), (9, 1)])
def test_a_statistic_without_any_spread_is_measured(batch: int, value: int) -> None:
    columns = np.full(100, 8, np.float32), np.full(50, batch, np.float32)
    (drift,) = numeric_drift({"width": columns[0]}, {"width": columns[1]}, None)
    assert drift.value == pytest.approx(value)


def test_only_statistics_of_both_sides_are_measured() -> None:
    assert numeric_drift({"width": normal(1, 5, 1)}, {"height": normal(1, 5, 1)}, 0.1) == []
