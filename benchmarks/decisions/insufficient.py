"""INSUFFICIENT_DATA by a share of samples above its limit: how often a share on the other side leads to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from benchmarks.decisions.sizes import BATCHES, SETTINGS, heads
from benchmarks.decisions.table import Table, percent, promise
from benchmarks.result import Result
from ml.evaluation.records import Counts
from ml.evaluation.verdict import Rules, decide
from ml.kinds.classification.accuracy import accuracy
from ml.records import Verdict

RULES = Rules.of(SETTINGS)
#: A batch twice as large as the smallest that gets a verdict, so that the share alone decides.
SIZES = tuple(2 * size for size in BATCHES)
BY = (-0.1, -0.05, -0.02, 0.02, 0.05, 0.1)


def study() -> Iterator[Result]:
    limits = (("failed predictions", RULES.max_failed_share, _failed), ("copies", RULES.max_known_share, _copies))
    rows, worst = [], 0.0
    for what, limit, counted in limits:
        decided = {size: _insufficient(size, counted) for size in SIZES}
        for by in BY:
            true = limit + by
            rates = [_wrong(size, true, by > 0, decided[size]) for size in SIZES]
            rows.append([f"{100 * true:.0f} % {what}", *map(percent, rates)])
            worst = max(worst, rates[1] if abs(by) >= 0.05 else 0)
    table = Table("insufficient", ["truly", *heads(SIZES, "samples")], rows)
    yield promise("INSUFFICIENT_DATA 5 points from its limits, 2,000 samples", worst, 0.001, table)


def _insufficient(size: int, counted: Callable[[int, int], Counts]) -> npt.NDArray[np.bool_]:
    found = []
    for number in range(size + 1):
        counts = counted(size, number)
        metric = accuracy(counts.evaluated, counts.evaluated, size, RULES)
        found.append(decide(counts, metric, [], RULES).verdict is Verdict.INSUFFICIENT_DATA)
    return np.array(found)


def _wrong(size: int, true: float, above: bool, insufficient: npt.NDArray[np.bool_]) -> float:
    shares = binom.pmf(np.arange(size + 1), size, true)
    return float(shares[~insufficient if above else insufficient].sum())


def _failed(size: int, failed: int) -> Counts:
    good = size - failed
    return Counts(samples=size, evaluated=good, correct=good, failed=failed, refused=0)


def _copies(size: int, copies: int) -> Counts:
    good = size - copies
    return Counts(samples=size, evaluated=good, correct=good, failed=0, refused=0, copies=copies)
