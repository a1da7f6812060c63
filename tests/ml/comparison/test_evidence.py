"""How sure the difference of two models is, against exact values and published examples."""

from __future__ import annotations

import math
from fractions import Fraction
from math import comb
from statistics import NormalDist

import numpy as np
import pytest
from scipy import optimize

from ml.comparison.evidence import Evidence, of_answers, of_images


def answers(both: int, only_candidate: int, only_champion: int, neither: int, max_loss: float = 0.01) -> Evidence:
    found = of_answers(both, only_candidate, only_champion, neither, max_loss=max_loss, error_rate=0.05)
    assert found is not None
    return found


def test_the_test_of_equality_is_the_exact_one_of_mcnemar() -> None:
    found = answers(100, 3, 12, 5)
    assert found.p_worse == pytest.approx(sum(comb(15, k) for k in range(4)) / 2**15)
    assert found.p_better == pytest.approx(sum(comb(15, k) for k in range(13)) / 2**15)
    assert found.loss == Fraction(9, 120)
    assert [found.candidate, found.champion] == pytest.approx([103 / 120, 112 / 120])


def likeliest_score(only_candidate: int, only_champion: int, examples: int, difference: float) -> float:
    """The score statistic with the likeliest shares of unequal answers found by search, where Tango solves for them."""

    def unlikelihood(lost: float) -> float:
        shares = (lost + difference, lost, 1 - 2 * lost - difference)
        counts = (only_candidate, only_champion, examples - only_candidate - only_champion)
        return -sum(count * math.log(share) for count, share in zip(counts, shares, strict=True) if count)

    bounds = (max(0.0, -difference) + 1e-12, (1 - difference) / 2 - 1e-12)
    lost = optimize.minimize_scalar(unlikelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    variance = examples * (2 * lost + difference - difference**2)
    return (only_candidate - only_champion - examples * difference) / math.sqrt(variance)


@pytest.mark.parametrize(("only_candidate", "only_champion", "examples"), [(3, 12, 120), (1, 7, 44), (40, 20, 160)])
def test_the_interval_ends_where_the_score_test_rejects(only_candidate: int, only_champion: int, examples: int) -> None:
    rest = examples - only_candidate - only_champion
    found = answers(rest, only_candidate, only_champion, 0, max_loss=0.04)
    z = NormalDist().inv_cdf(0.95)
    assert likeliest_score(only_candidate, only_champion, examples, found.low) == pytest.approx(z, abs=1e-4)
    assert likeliest_score(only_candidate, only_champion, examples, found.high) == pytest.approx(-z, abs=1e-4)
    expected = 1 - NormalDist().cdf(likeliest_score(only_candidate, only_champion, examples, -0.04))
    assert found.p_not_worse == pytest.approx(expected, abs=1e-5)


def test_examples_that_both_answer_alike_say_how_many_there_were() -> None:
    assert answers(10, 0, 0, 0).p_worse == answers(10, 0, 0, 0).p_better == 1
    assert answers(10_000, 0, 0, 0).p_not_worse < 0.05 < answers(100, 0, 0, 0).p_not_worse
    assert of_answers(0, 0, 0, 0, max_loss=0.01, error_rate=0.05) is None


@pytest.mark.parametrize("counts", [(0, 5, 0, 0), (0, 0, 5, 0), (0, 1, 1, 0), (1, 0, 0, 0), (0, 0, 0, 1), (7, 3, 3, 2)])
def test_the_interval_holds_the_difference_and_stays_within_what_is_possible(counts: tuple[int, int, int, int]) -> None:
    found = answers(*counts)
    assert -1 <= found.low <= float(-found.loss) <= found.high <= 1


def test_models_that_are_exchanged_give_the_mirrored_evidence() -> None:
    one, other = answers(90, 4, 9, 17), answers(90, 9, 4, 17)
    assert [one.p_worse, one.low] == pytest.approx([other.p_better, -other.high])


def test_so_many_examples_as_it_says_are_enough() -> None:
    """Four times of five, for two equally good models that disagree as often as those of the first sample."""
    few = answers(188, 6, 6, 0)
    assert few.enough is not None
    rng = np.random.default_rng(5)
    draws = rng.multinomial(few.enough, [0.94, 0.03, 0.03], size=300)
    claims = sum(answers(*map(int, (both, one, other, 0))).p_not_worse <= 0.05 for both, one, other in draws)
    assert 0.72 <= claims / 300 <= 0.9
    assert answers(188, 6, 6, 0, max_loss=0.0).enough is None


def shares(sums: np.ndarray) -> np.ndarray:
    """Right areas of all."""
    values: np.ndarray = sums[:, 0] / sums[:, 1]
    return values


def images(quality: np.ndarray) -> np.ndarray:
    return np.stack([100 * quality, np.full(len(quality), 100.0)], axis=1)


def test_masks_are_compared_image_by_image() -> None:
    rng = np.random.default_rng(1)
    hard = rng.beta(8, 2, 200)  # images differ far more than the models
    better = of_images(images(np.minimum(hard + 0.01, 1)), images(hard), shares, max_loss=0.01, error_rate=0.05)
    assert better is not None
    assert better.p_better < 0.01 < 0.9 < better.p_worse
    assert better.low <= float(-better.loss) <= better.high
    assert better.high - better.low < 0.005


def test_the_order_of_the_images_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    candidate, champion = images(rng.beta(8, 2, 50)), images(rng.beta(8, 2, 50))
    order = rng.permutation(50)
    one = of_images(candidate, champion, shares, max_loss=0.01, error_rate=0.05)
    assert one == of_images(candidate[order], champion[order], shares, max_loss=0.01, error_rate=0.05)


def test_a_few_images_claim_nothing() -> None:
    found = of_images(images(np.full(19, 0.1)), images(np.full(19, 0.9)), shares, max_loss=0.01, error_rate=0.05)
    assert found is not None
    assert (found.p_worse, found.p_better, found.p_not_worse) == (1, 1, 1)
    assert (found.low, found.high, found.enough) == (-1, 1, None)
    none = np.empty((0, 2))
    assert of_images(none, none, shares, max_loss=0.01, error_rate=0.05) is None
