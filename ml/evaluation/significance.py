"""How often chance alone makes two samples of one distribution as different as they are: p values, without a model.

Each is of a permutation test: were batch and window of one distribution, every way to deal the pooled samples out to
them would be equally probable, so ties and rare values need no care. If the distribution of the distance has a closed
form or bound, no dealing is simulated. Source: B. Phipson and G. Smyth, "Permutation p-values should never be zero",
Statistical Applications in Genetics and Molecular Biology 9 (2010).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from scipy.stats import hypergeom

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

#: Dealings simulated at least, and at most; the first ones alone where they show that chance does as well.
_FEWEST, _MOST, _FIRST = 9_999, 99_999, 199
#: With so many dealings that come as far, p is known to a fifth of itself: no more are simulated.
_ENOUGH = 20
_CHUNK = 500
#: Rounding must not part equal distances.
_ROUNDING = 1e-9


def dealings(features: int, false_alarms: float) -> int:
    """How many dealings tell whether one of ``features`` distances is significant at the rate ``false_alarms`` of all:
    the smallest p that they can give is a tenth of what the strictest step of :func:`holm` asks, but 0.00001 at least.
    """
    return min(max(_FEWEST, math.ceil(10 * max(features, 1) / false_alarms)), _MOST)


def holm(p_values: Sequence[float], rate: float) -> list[bool]:
    """Which of the hypotheses are rejected, so that one or more true ones are with a probability of at most ``rate``.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
    (1979), 65-70. It needs no independence.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    rejected = [False] * len(p_values)
    for step, position in enumerate(order):
        if p_values[position] > rate / (len(p_values) - step):
            break
        rejected[position] = True
    return rejected


def divergence(one: npt.ArrayLike, other: npt.ArrayLike) -> Floats:
    """The Jensen-Shannon divergence, to base 2, of counts or shares along the last axis: 0 (equal) to 1.

    Source: J. Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on Information Theory 37
    (1991), 145-151.
    """
    root: Floats = jensenshannon(np.asarray(one, np.float64), np.asarray(other, np.float64), base=2, axis=-1)
    return np.nan_to_num(np.square(root))  # of equal shares, rounding may take the root of less than 0


def p_of_divergence(reference: Counts, batch: Counts, most: int, *, seed: int = 0) -> float:
    """p of the :func:`divergence` of two columns, counted over the same bins (which follow from the pooled values)."""
    pooled, size = reference + batch, int(batch.sum())
    pooled, observed = pooled[pooled > 0], float(divergence(reference, batch))
    random = np.random.default_rng(seed)

    def deal(times: int) -> Floats:
        dealt = random.multivariate_hypergeometric(pooled, size, size=times, method="marginals")
        return divergence(pooled - dealt, dealt)

    return _p(deal, observed, most)


def p_of_counts(reference: Counts, batch: Counts) -> float:
    """p of the largest difference of a label's shares, if each sample has one label. Both count the same labels.

    The number of a label's samples that are dealt to the batch is hypergeometric (Fisher's exact test). The tails of
    all labels are added up (Bonferroni), so p is never too small.
    """
    window, size = int(reference.sum()), int(batch.sum())
    distance = float(np.abs(batch / size - reference / window).max())
    pooled = (reference + batch).astype(np.float64)
    scale = window * size / (window + size)
    low = np.floor((pooled / window - distance) * scale + _ROUNDING)
    high = np.ceil((pooled / window + distance) * scale - _ROUNDING)
    # A label too rare to come as far has empty tails.
    above = np.flatnonzero(high <= np.minimum(pooled, size))
    below = np.flatnonzero(low >= np.maximum(pooled - window, 0))
    if len(reference) == 2:  # the one's share falls by as much as the other's rises
        above, below = above[above == 0], below[below == 0]
    population = window + size
    tails = hypergeom.cdf(low[below], population, pooled[below], size).sum()
    # As many in the batch, at least: as few in the window, at most.
    tails += hypergeom.cdf(pooled[above] - high[above], population, pooled[above], window).sum()
    return min(1.0, float(tails))


def p_of_rows(reference: Floats, batch: Floats, most: int, *, seed: int = 0) -> float:
    """p of the largest difference of the means of a column, of float[samples, columns]: whole rows are dealt out."""
    pooled, size = np.concatenate([reference, batch]).astype(np.float32), len(batch)
    total = pooled.sum(axis=0, dtype=np.float64)
    observed = float(np.abs(batch.mean(axis=0) - reference.mean(axis=0)).max())
    random = np.random.default_rng(seed)

    def deal(times: int) -> Floats:
        distances = []
        for start in range(0, times, _CHUNK):
            rows = min(_CHUNK, times - start)
            chosen = np.argpartition(random.random((rows, len(pooled)), np.float32), size - 1, axis=1)[:, :size]
            mine = np.zeros((rows, len(pooled)), np.float32)
            np.put_along_axis(mine, chosen, 1, axis=1)
            sums = (mine @ pooled).astype(np.float64)
            distances.append(np.abs(sums / size - (total - sums) / len(reference)).max(axis=1))
        return np.concatenate(distances)

    # Sums of float32 are less exact than the rest.
    return _p(deal, observed * (1 - 1e-5), most)


def p_bound_of_shares(reference: Floats, window: int, batch: Floats, size: int) -> float:
    """An upper bound of p of the largest difference of a label's shares, if a sample may have several labels, each to a
    share, and only the shares of all ``window`` and ``size`` samples together are known.

    Source: W. Hoeffding, "Probability inequalities for sums of bounded random variables", Journal of the American
    Statistical Association 58 (1963), theorem 1, which holds for drawing without replacement by theorem 4. The bounds
    of all labels are added up.
    """
    distance = float(np.abs(batch - reference).max())
    pooled = (reference * window + batch * size) / (window + size)
    mine, theirs = distance * window / (window + size), distance * size / (window + size)
    rises = np.minimum(_tail(pooled, mine, size), _tail(pooled, -theirs, window))
    falls = np.minimum(_tail(pooled, -mine, size), _tail(pooled, theirs, window))
    return min(1.0, float(rises.sum() + falls.sum()))


def _tail(mean: Floats, by: float, samples: int) -> Floats:
    """A bound of the probability that the mean of so many samples differs ``by`` so much or more, in that direction."""
    moved = mean + by
    possible = (moved >= -_ROUNDING) & (moved <= 1 + _ROUNDING)
    moved = np.clip(moved, 0, 1)
    bound = np.exp(-samples * (rel_entr(moved, mean) + rel_entr(1 - moved, 1 - mean)))
    return np.where(possible, bound, 0.0)


def _p(deal: Callable[[int], Floats], observed: float, most: int) -> float:
    """The share of dealings that come as far, the observed one among them; simulates no more than tell.

    Source: J. Besag and P. Clifford, "Sequential Monte Carlo p-values", Biometrika 78 (1991), 301-304.
    """
    times = min(_FIRST, most)
    as_far = int(np.count_nonzero(deal(times) >= observed - _ROUNDING))
    while times < most and as_far < _ENOUGH:
        more = min(most - times, _FEWEST)
        as_far += int(np.count_nonzero(deal(more) >= observed - _ROUNDING))
        times += more
    return (1 + as_far) / (1 + times)
