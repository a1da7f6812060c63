"""How sure a share is."""

from __future__ import annotations

import math
from statistics import NormalDist

from ml.evaluation.records import Interval


def wilson(successes: int, trials: int, confidence: float) -> Interval:
    """The Wilson score interval of a share of ``successes`` in ``trials`` at level ``confidence`` (0.95: 95 %).

    Unlike the normal approximation it stays within 0 and 1 and is usable for few trials and for shares near 0 or 1.
    It always contains ``successes / trials``; no trials at all give 0 to 1.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22 (1927), 209-212; recommended by Brown, Cai and DasGupta, "Interval estimation
    for a binomial proportion", Statistical Science 16 (2001), 101-133, equation (4).

    Raises ``ValueError`` unless 0 ≤ successes ≤ trials and 0 < confidence < 1.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence} is not between 0 and 1")
    if trials == 0:
        return Interval(low=0.0, high=1.0)
    # From the lower tail: 0.5 + confidence / 2 would round up to 1, of which there is no quantile.
    z = -NormalDist().inv_cdf((1 - confidence) / 2)
    share = successes / trials
    shrink = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # Rounding may push an end past 0, 1 or the share itself.
    return Interval(low=max(0.0, min(centre - half, share)), high=min(1.0, max(centre + half, share)))
