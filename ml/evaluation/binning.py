"""Bins that follow the values, not their extremes: what a divergence of two numeric columns is measured over."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]

#: Bins of equal shares that a column is cut into.
BINS = 20


def quantile_cuts(column: Column, bins: int = BINS) -> Column:
    """Where to cut: ascending float32 values, each the first of a bin. Fewer than ``len(cuts)`` bins hold anything.

    A value that alone makes up the share of a bin (1 in 20) has a bin of its own, and so has each value where there are
    no more than ``bins`` different ones: the divergence of such columns is exact. The others are cut at their
    quantiles. What lies below or above all of ``column`` has a bin on either side. NaN is left out.
    """
    known = column[~np.isnan(column)].astype(np.float32)
    if not len(known):
        return known
    values, counts = np.unique(known, return_counts=True)
    alone = np.full(len(values), True) if len(values) <= bins else counts * bins >= len(known)
    rest = np.repeat(values[~alone], counts[~alone])
    shares = max(1, round(bins * len(rest) / len(known)))
    between = np.quantile(rest, np.linspace(0, 1, shares + 1)[1:-1], method="inverted_cdf") if len(rest) else rest
    ends = [values[:1], _next(values[-1:])]
    cuts: Column = np.unique(np.concatenate([values[alone], _next(values[alone]), between, *ends]).astype(np.float32))
    return cuts


def bin_counts(column: Column, cuts: Column) -> Counts:
    """int64[len(cuts) + 2]: how many values lie below the first cut, from each cut on, and are NaN."""
    known = column[~np.isnan(column)].astype(np.float32)
    counts = np.bincount(np.searchsorted(cuts, known, side="right"), minlength=len(cuts) + 1)
    return np.append(counts, len(column) - len(known))


def _next(values: Column) -> Column:
    following: Column = np.nextafter(values, np.float32(np.inf))
    return following
