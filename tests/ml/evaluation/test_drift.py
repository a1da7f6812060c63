"""Drift against plain formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import rel_entr

from ml.errors import DataError
from ml.evaluation.drift import judged, label_drift, measure_drift, numeric_drift
from ml.evaluation.reference import Distributions, Evidence
from ml.settings_sections import EvaluationSettings


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
    assert label_drift("labels", window, batch, None, Evidence.UNKNOWN).value == pytest.approx(0.5005, abs=1e-9)


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
    (drift,) = judged(
        numeric_drift({"brightness": normal(0.3, 2000, 1)}, {"brightness": normal(0.7, 1000, 2)}, 0.1), 0.01
    )
    assert drift.value > 0.9
    assert drift.p_value == pytest.approx(1e-4)
    assert drift.exceeded


@pytest.mark.parametrize(("batch", "value"), [(8, 0), (9, 1)])
def test_a_statistic_without_any_spread_is_measured(batch: int, value: int) -> None:
    columns = np.full(100, 8, np.float32), np.full(50, batch, np.float32)
    (drift,) = numeric_drift({"width": columns[0]}, {"width": columns[1]}, None)
    assert drift.value == pytest.approx(value)


def test_only_statistics_of_both_sides_are_measured() -> None:
    assert numeric_drift({"width": normal(1, 5, 1)}, {"height": normal(1, 5, 1)}, 0.1) == []


@pytest.mark.parametrize(
    ("window", "batch", "value"),
    [
        ({640: 480}, {640: 199, 641: 1}, 0.0025),
        ({640: 479, 8000: 1}, {640: 199, 800: 1}, 0.0035),
        ({640: 240, 480: 240}, {640: 100, 480: 99, 4000: 1}, 0.0025),
        ({0: 480}, {0: 199, 0.01: 1}, 0.0025),
    ],
)
def test_one_outlier_weighs_as_much_as_one_sample(
    window: dict[float, int], batch: dict[float, int], value: float
) -> None:
    sides = (np.repeat(list(side), list(side.values())).astype(np.float32) for side in (window, batch))
    assert divergence_of(*sides) == pytest.approx(value, abs=1e-4)


def test_a_panorama_among_ordinary_widths_changes_little() -> None:
    random = np.random.default_rng(0)
    window, batch = (random.uniform(300, 500, size).astype(np.float32) for size in (480, 200))
    assert abs(divergence_of(window, np.append(batch[:199], np.float32(8000))) - divergence_of(window, batch)) < 0.01


def test_a_value_that_is_not_a_number_is_a_value_like_another() -> None:
    known, unknown = np.ones(50, np.float32), np.full(50, np.nan, np.float32)
    assert divergence_of(known, known) == divergence_of(unknown, unknown) == 0
    assert divergence_of(known, unknown) == 1
    assert divergence_of(known, np.append(known, np.float32(np.inf))) < 0.02


def divergence_of(window: npt.NDArray[np.float32], batch: npt.NDArray[np.float32]) -> float:
    (drift,) = numeric_drift({"width": window}, {"width": batch}, None)
    return drift.value


CONTINUOUS = [
    (stats.norm(0, 1), stats.norm(0, 1)),
    (stats.norm(0, 1), stats.norm(0.5, 1)),
    (stats.norm(0, 1), stats.norm(2, 1)),
    (stats.norm(0, 1), stats.norm(0, 2)),
    (stats.norm(0, 1), stats.norm(0, 0.4)),
    (stats.uniform(300, 200), stats.uniform(400, 200)),
    (stats.uniform(0, 1), stats.beta(2, 2)),
    (stats.beta(2, 5), stats.beta(5, 2)),
    (stats.expon(), stats.expon(scale=3)),
    (stats.lognorm(1), stats.lognorm(1, scale=2)),
    (stats.t(2), stats.norm(0, 1)),
    (stats.gamma(2), stats.gamma(4)),
]
DISCRETE = [
    (stats.poisson(3), stats.poisson(3)),
    (stats.poisson(3), stats.poisson(5)),
    (stats.poisson(100), stats.poisson(120)),
    (stats.bernoulli(0.5), stats.bernoulli(0.1)),
    (stats.binom(10, 0.5), stats.binom(10, 0.7)),
    (stats.randint(300, 500), stats.randint(400, 600)),
    (stats.geom(0.2), stats.geom(0.6)),
    (stats.randint(0, 4), stats.randint(10, 12)),
]


@pytest.mark.parametrize(("window", "batch"), [*CONTINUOUS, *DISCRETE])
def test_it_is_close_to_the_exact_divergence(window: Any, batch: Any) -> None:
    random = np.random.default_rng(0)
    sides = (side.rvs(size=20_000, random_state=random).astype(np.float32) for side in (window, batch))
    assert divergence_of(*sides) == pytest.approx(exact_divergence(window, batch), rel=0.05, abs=0.02)


def exact_divergence(window: Any, batch: Any) -> float:
    """From the densities (over a fine grid) or probabilities."""
    low, high = (fold(side.ppf(end) for side in (window, batch)) for fold, end in ((min, 1e-6), (max, 1 - 1e-6)))
    if hasattr(window.dist, "pmf"):
        grid = np.arange(low, high + 1)
        shares = window.pmf(grid), batch.pmf(grid)
    else:
        grid = np.linspace(low, high, 400_001)
        shares = np.diff(window.cdf(grid)), np.diff(batch.cdf(grid))
    mixed = (shares[0] + shares[1]) / 2
    return float(sum(rel_entr(share, mixed).sum() for share in shares) / 2 / np.log(2))


def shares_drawn(size: int, seed: int) -> Distributions:
    """So many samples of ten equally frequent labels, with a brightness."""
    random = np.random.default_rng(seed)
    labels = dict(zip("abcdefghij", map(float, random.multinomial(size, np.full(10, 0.1))), strict=True))
    return Distributions(labels, labels, {"brightness": normal(0.3, size, seed)}, Evidence.COUNTS)


LOW_LIMITS = EvaluationSettings(max_label_drift=0.02, max_prediction_drift=0.02, max_image_drift=0.01)


def test_few_samples_of_one_distribution_are_above_a_low_limit_but_not_significantly() -> None:
    fired = large = 0
    for seed in range(40):
        drift = measure_drift(shares_drawn(480, seed), shares_drawn(100, 1000 + seed), LOW_LIMITS)
        large += any(one.is_large for one in drift)
        fired += any(one.exceeded for one in drift)
    assert large == 40
    assert fired <= 2


def test_a_large_change_is_significant_with_few_samples() -> None:
    window, batch = shares_drawn(480, 1), shares_drawn(100, 2)
    moved = Distributions(
        {"a": 50.0, **dict.fromkeys("bcdefghij", 50 / 9)},
        batch.predicted,
        {"brightness": batch.statistics["brightness"] + np.float32(0.1)},
        Evidence.COUNTS,
    )
    drift = {one.feature: one for one in measure_drift(window, moved, LOW_LIMITS)}
    assert {name for name, one in drift.items() if one.exceeded} == {"labels", "brightness"}
    assert (drift["labels"].samples, drift["labels"].window_samples) == (100, 480)


def test_a_change_that_is_certain_but_smaller_than_its_limit_is_not_drift() -> None:
    (drift,) = judged([label_drift("labels", {"a": 50_000, "b": 50_000}, {"a": 52_000, "b": 48_000}, 0.3)], 0.01)
    assert drift.significant
    assert not drift.exceeded


def test_without_knowledge_of_the_samples_nothing_is_significant() -> None:
    drift = [label_drift("labels", {"a": 1.5}, {"b": 900.5}, 0.3, Evidence.UNKNOWN)]
    assert (drift[0].p_value, drift[0].samples) == (None, None)
    (one,) = judged(drift, 0.01)
    assert one.is_large
    assert not one.exceeded


def test_areas_are_judged_by_images_not_by_pixels() -> None:
    random = np.random.default_rng(0)
    window, batch, other = (
        dict(zip(("road", "sky"), random.dirichlet([mean, 4 - mean], 60).astype(np.float32).T, strict=True))
        for mean in (2, 2, 3)
    )

    def drifted(found: dict[str, npt.NDArray[np.float32]]) -> float:
        before, now = ({name: float(column.sum()) for name, column in side.items()} for side in (window, found))
        return label_drift("labels", before, now, 0.1, Evidence.SHARES, (window, found)).p_value or 0.0

    assert drifted(batch) > 0.05
    assert drifted(other) < 0.001


def test_shares_of_all_samples_together_bound_the_p_value() -> None:
    few = label_drift("predictions", {"a": 5.5, "b": 4.5}, {"a": 9.5, "b": 0.5}, 0.3, Evidence.SHARES)
    many = label_drift("predictions", {"a": 55.0, "b": 45.0}, {"a": 95.0, "b": 5.0}, 0.3, Evidence.SHARES)
    assert (few.p_value or 0) > 0.05
    assert (many.p_value or 1) < 0.001


def test_a_repeat_gives_the_same_p_values() -> None:
    sides = shares_drawn(300, 1), shares_drawn(200, 2)
    assert measure_drift(*sides, LOW_LIMITS) == measure_drift(*sides, LOW_LIMITS)
