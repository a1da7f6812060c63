"""p values against those of exact tests, and the rate at which they are small by chance."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import fisher_exact

from ml.evaluation.significance import (
    dealings,
    divergence,
    holm,
    p_bound_of_shares,
    p_of_counts,
    p_of_divergence,
    p_of_rows,
)


@pytest.mark.parametrize(("window", "batch"), [([12, 8], [3, 17]), ([50, 50], [30, 20]), ([5, 15], [5, 15])])
def test_two_labels_in_samples_of_one_size_are_fishers_exact_test(window: list[int], batch: list[int]) -> None:
    if sum(window) != sum(batch):
        window = [count // 2 for count in window]
    expected = fisher_exact([window, batch]).pvalue
    assert p_of_counts(np.array(window), np.array(batch)) == pytest.approx(expected)


def test_the_tails_of_all_labels_are_those_of_every_dealing() -> None:
    window, batch = np.array([3, 2, 1]), np.array([0, 1, 3])
    pooled = np.repeat(range(3), window + batch)
    distances = []
    for dealt in itertools.combinations(range(10), 4):
        counts = np.bincount(pooled[list(dealt)], minlength=3)
        distances.append(np.abs(counts / 4 - (window + batch - counts) / 6).max())
    exact = float(np.mean(np.array(distances) >= np.abs(batch / 4 - window / 6).max() - 1e-9))
    assert exact <= p_of_counts(window, batch) <= 2 * exact


@pytest.mark.parametrize(
    "p_of_one_distribution",
    [
        lambda random: p_of_counts(
            random.multinomial(80, [0.9, 0.06, 0.04]), random.multinomial(60, [0.9, 0.06, 0.04])
        ),
        lambda random: p_of_divergence(
            random.multinomial(80, np.full(12, 1 / 12)), random.multinomial(60, np.full(12, 1 / 12)), 999
        ),
        lambda random: p_of_rows(random.dirichlet([2, 1, 0.2], 60), random.dirichlet([2, 1, 0.2], 40), 499),
        lambda random: p_bound_of_shares(
            random.dirichlet([2, 1], 80).mean(axis=0), 80, random.dirichlet([2, 1], 60).mean(axis=0), 60
        ),
    ],
    ids=["counts", "divergence", "rows", "bound"],
)
def test_chance_makes_them_small_no_more_often_than_they_say(
    p_of_one_distribution: Callable[[np.random.Generator], float],
) -> None:
    random = np.random.default_rng(20)
    found = np.array([p_of_one_distribution(random) for _ in range(200)])
    assert np.mean(found <= 0.05) <= 0.09  # 0.05, and two and a half standard errors of 200 repetitions


def test_no_p_value_is_zero_where_dealings_are_simulated() -> None:
    window, batch = np.array([1000, 0]), np.array([0, 1000])
    assert p_of_divergence(window, batch, 999) == pytest.approx(1e-3)
    assert divergence(window, batch) == pytest.approx(1)


def test_a_million_samples_of_ten_thousand_labels_take_no_dealing() -> None:
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.ones(10_000))
    window, batch = random.multinomial(1_000_000, shares), random.multinomial(1_000_000, shares)
    assert p_of_counts(window, batch) > 0.01
    batch[0] += 500_000
    assert p_of_counts(window, batch) < 1e-100


@pytest.mark.parametrize(
    ("p_values", "rejected"),
    [
        ([0.001, 0.04, 0.02], [True, True, True]),
        ([0.03, 0.001, 0.04], [False, True, False]),
        ([0.02, 0.02, 0.02], [False, False, False]),
        ([], []),
    ],
)
def test_holms_steps(p_values: list[float], rejected: list[bool]) -> None:
    assert holm(p_values, 0.05) == rejected


@pytest.mark.parametrize(("features", "false_alarms"), [(1, 0.01), (8, 0.01), (100, 0.01), (8, 0.0005)])
def test_the_strictest_step_can_be_reached(features: int, false_alarms: float) -> None:
    assert 1 / (1 + dealings(features, false_alarms)) < false_alarms / features / 2
