"""How sure the difference of two models is that answered the same examples.

Two models that are asked the same are compared on what only one of them gets right: what both get right or wrong says
nothing of their difference. Where an example is right or wrong, the tests are exact or score tests of those counts;
where it is more or less right (a mask), examples are resampled in pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

#: Resamples of a paired bootstrap.
RESAMPLES = 2_000
#: Below so many examples a percentile bootstrap claims too much, so nothing is claimed.
FEWEST_RESAMPLED = 20

#: The power that :attr:`Evidence.enough` is for.
_POWER = 0.8
_WIDEST = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class Evidence:
    """What ``examples`` say of two models; see :class:`ml.comparison.records.Comparison` for the values.

    ``loss`` is champion − candidate, exact where examples are right or wrong. ``counts`` says in words what was
    counted; empty where nothing was.
    """

    examples: int
    candidate: float
    champion: float
    loss: Fraction | float
    low: float
    high: float
    confidence: float
    p_worse: float
    p_better: float
    p_not_worse: float
    enough: int | None
    counts: str = ""


def of_answers(
    both: int, only_candidate: int, only_champion: int, neither: int, *, max_loss: float, error_rate: float
) -> Evidence | None:
    """The evidence of examples that are answered right or wrong; None without any.

    ``p_worse`` and ``p_better`` are one-sided and exact (Q. McNemar, "Note on the sampling error of the difference
    between correlated proportions or percentages", Psychometrika 12 (1947), with the binomial distribution in place of
    its approximation). ``p_not_worse`` and the interval, of level 1 − 2 × ``error_rate``, are of the score test of a
    difference of paired proportions (T. Tango, "Equivalence test and confidence interval for the difference in
    proportions for the paired-sample design", Statistics in Medicine 17 (1998), 891-908).
    """
    examples = both + only_candidate + only_champion + neither
    if not examples:
        return None
    unequal = only_candidate + only_champion
    z = float(stats.norm.ppf(1 - error_rate))

    def score(difference: float) -> float:
        return _paired_score(only_candidate, only_champion, examples, difference)

    share = (only_candidate - only_champion) / examples
    low = _root(lambda value: score(value) - z, -_WIDEST, share)
    high = _root(lambda value: score(value) + z, share, _WIDEST)
    return Evidence(
        examples=examples,
        candidate=(both + only_candidate) / examples,
        champion=(both + only_champion) / examples,
        loss=Fraction(only_champion - only_candidate, examples),
        low=low,
        high=high,
        confidence=1 - 2 * error_rate,
        p_worse=float(stats.binom.cdf(only_candidate, unequal, 0.5)),
        p_better=float(stats.binom.cdf(only_champion, unequal, 0.5)),
        p_not_worse=float(stats.norm.sf(score(-max_loss))) if max_loss < 1 else 0.0,
        enough=_enough(examples, low, high, z, max_loss),
        counts=f"only the candidate is right on {only_candidate:,}, only the champion on {only_champion:,}",
    )


def of_images(
    candidate: npt.NDArray[np.float64],
    champion: npt.NDArray[np.float64],
    metric: Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]],
    *,
    max_loss: float,
    error_rate: float,
    seed: int = 0,
) -> Evidence | None:
    """The evidence of examples that are answered more or less right; None without any, or without a value.

    ``candidate`` and ``champion`` are float64[examples, …] in the same order: what adds up over examples, such as
    areas. ``metric`` takes sums float64[N, …] of them to values float64[N] from 0 to 1. Examples are drawn in pairs
    (B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979)); interval and p are of
    percentiles, widened for few examples (T. Hesterberg, "What teachers should know about the bootstrap", The American
    Statistician 69 (2015), 371-386). Fewer than 20 examples claim nothing: every p is 1. The same examples give the
    same evidence, in whatever order.
    """
    examples = len(candidate)
    if not examples:
        return None
    pairs = np.stack([candidate, champion], axis=1).reshape(examples, -1)
    pairs = pairs[np.lexsort(pairs.T)]
    shape = (-1, 2, *candidate.shape[1:])

    def values(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        both = sums.reshape(shape)
        return np.stack([metric(both[:, 0]), metric(both[:, 1])])

    (own,), (its,) = values(pairs.sum(axis=0, keepdims=True))
    if np.isnan(own) or np.isnan(its):
        return None
    draws = np.random.default_rng(seed)
    picks = (draws.integers(examples, size=examples) for _ in range(RESAMPLES))
    drawn = np.subtract(*values(np.stack([np.bincount(pick, minlength=examples) @ pairs for pick in picks])))
    drawn = drawn[~np.isnan(drawn)]
    claims = examples >= FEWEST_RESAMPLED and len(drawn) > 0
    wider = math.sqrt(examples / (examples - 1)) if claims else 1.0
    outside = float(stats.norm.sf(wider * stats.t.isf(error_rate, examples - 1))) if claims else 0.0
    low, high = np.quantile(drawn, [outside, 1 - outside]) if claims else (-1.0, 1.0)
    difference = float(own - its)
    low, high = min(float(low), difference), max(float(high), difference)

    def probability(unfavourable: npt.NDArray[np.bool_]) -> float:
        if not claims:
            return 1.0
        share = (1 + int(np.count_nonzero(unfavourable))) / (1 + len(drawn))
        return float(stats.t.sf(stats.norm.isf(share) / wider, examples - 1))

    return Evidence(
        examples=examples,
        candidate=float(own),
        champion=float(its),
        loss=-difference,
        low=low,
        high=high,
        confidence=1 - 2 * error_rate,
        p_worse=probability(drawn >= 0),
        p_better=probability(drawn <= 0),
        p_not_worse=probability(drawn <= -max_loss),
        enough=_enough(examples, low, high, float(stats.norm.ppf(1 - error_rate)), max_loss) if claims else None,
    )


def _paired_score(only_candidate: int, only_champion: int, examples: int, difference: float) -> float:
    """Tango's statistic for the hypothesis that the share of the candidate's right answers is larger by ``difference``
    than the champion's; standard normal if it is."""
    a = 2 * examples
    b = (2 * examples - only_candidate + only_champion) * difference - only_candidate - only_champion
    c = -only_champion * difference * (1 - difference)
    lost = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = examples * (2 * lost + difference * (1 - difference))
    distance = only_candidate - only_champion - examples * difference
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where ``function`` changes its sign; the end that is nearer to zero where it doesn't."""
    at_low, at_high = function(low), function(high)
    if not (math.isfinite(at_low) and math.isfinite(at_high)) or at_low * at_high > 0:
        return low if abs(at_low) < abs(at_high) else high
    return float(optimize.brentq(function, low, high))


def _enough(examples: int, low: float, high: float, z: float, max_loss: float) -> int | None:
    """So many examples like these tell an equally good candidate from one that is worse by ``max_loss``, four times of
    five: the interval's width falls with the root of their number."""
    if max_loss <= 0:
        return None
    wanted = max_loss * z / (z + float(stats.norm.ppf(_POWER)))
    return max(examples, math.ceil(examples * ((high - low) / 2 / wanted) ** 2))
