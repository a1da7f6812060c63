"""The Wilson score interval."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.evaluation.intervals import wilson


@pytest.mark.parametrize(
    ("successes", "trials", "confidence", "low", "high"),
    [
        # Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998)
        (81, 263, 0.95, 0.2553, 0.3662),
        (15, 148, 0.95, 0.0624, 0.1605),
        (0, 20, 0.95, 0.0, 0.1611),
        (1, 29, 0.95, 0.0061, 0.1718),
    ],
)
def test_it_has_the_published_values(successes: int, trials: int, confidence: float, low: float, high: float) -> None:
    interval = wilson(successes, trials, confidence)
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


def test_without_trials_it_says_nothing() -> None:
    assert (wilson(0, 0, 0.95).low, wilson(0, 0, 0.95).high) == (0.0, 1.0)


def test_all_right_is_not_certainly_right() -> None:
    interval = wilson(10, 10, 0.95)
    assert interval.high == 1.0
    assert 0.7 < interval.low < 0.75


def test_a_confidence_next_to_1_has_an_interval() -> None:
    interval = wilson(90, 100, 0.9999999999999999)
    assert 0 < interval.low < 0.6
    assert 0.97 < interval.high < 1


@pytest.mark.parametrize(("successes", "trials", "confidence"), [(2, 1, 0.95), (-1, 1, 0.95), (1, 1, 0.0), (1, 1, 1.0)])
def test_what_is_no_share_is_refused(successes: int, trials: int, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"trials|confidence"):
        wilson(successes, trials, confidence)


counts = st.integers(1, 10**7).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))
levels = st.floats(0.01, 0.9999)


@settings(deadline=None)
@given(counts, levels)
def test_it_contains_the_share_and_stays_within_0_and_1(count: tuple[int, int], confidence: float) -> None:
    successes, trials = count
    interval = wilson(successes, trials, confidence)
    assert 0 <= interval.low <= successes / trials <= interval.high <= 1


@settings(deadline=None)
@given(counts, levels)
def test_mistakes_have_the_mirrored_interval(count: tuple[int, int], confidence: float) -> None:
    successes, trials = count
    right, wrong = wilson(successes, trials, confidence), wilson(trials - successes, trials, confidence)
    assert right.low == pytest.approx(1 - wrong.high, abs=1e-9)


@settings(deadline=None)
@given(counts, levels)
def test_more_trials_of_the_same_share_narrow_it(count: tuple[int, int], confidence: float) -> None:
    successes, trials = count
    few, many = wilson(successes, trials, confidence), wilson(10 * successes, 10 * trials, confidence)
    assert many.high - many.low < few.high - few.low


@settings(deadline=None)
@given(counts, st.floats(0.05, 0.9))
def test_more_confidence_widens_it(count: tuple[int, int], confidence: float) -> None:
    narrow, wide = wilson(*count, confidence), wilson(*count, confidence + 0.05)
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high
