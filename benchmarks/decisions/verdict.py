"""DEGRADED by accuracy: how often the verdict is wrong. Computed for every possible count, not drawn."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from benchmarks.decisions.sizes import SAMPLES, SETTINGS, heads
from benchmarks.decisions.table import Table, percent, promise
from benchmarks.result import Result
from ml.evaluation.records import Counts
from ml.evaluation.verdict import Rules, decide
from ml.kinds.classification.accuracy import accuracy
from ml.records import Verdict

ACCURACIES = (0.8, 0.85, 0.87, 0.88, 0.89, 0.9, 0.91, 0.92, 0.93, 0.95, 0.97)
RULES = Rules.of(SETTINGS)


def study() -> Iterator[Result]:
    rows = [[f"{100 * true:.0f} %", *(cell(size, true) for size in SAMPLES)] for true in ACCURACIES]
    table = Table("verdict", ["true accuracy", *heads(SAMPLES, "samples")], rows)
    worst = max(wrong(400, RULES.threshold - 0.05), wrong(400, RULES.threshold + 0.05))
    yield promise("a verdict 5 points from the threshold, 400 samples", worst, 0.01, table)
    worst = max(wrong(2_000, RULES.threshold - 0.02), wrong(2_000, RULES.threshold + 0.02))
    yield promise("a verdict 2 points from the threshold, 2,000 samples", worst, 0.01, table)


def cell(size: int, true: float) -> str:
    if Verdict.INSUFFICIENT_DATA in verdicts(size):
        return "no verdict"
    return percent(wrong(size, true))


def wrong(size: int, true: float) -> float:
    """How often a release of this accuracy gets the wrong one of PASS and DEGRADED."""
    right = Verdict.DEGRADED if true < RULES.threshold else Verdict.PASS
    others = np.array([verdict is not right for verdict in verdicts(size)])
    shares: npt.NDArray[np.float64] = binom.pmf(np.arange(size + 1), size, true)
    return float(shares[others].sum())


@lru_cache
def verdicts(size: int) -> list[Verdict]:
    """The product's verdict for every number of right predictions."""
    found = []
    for correct in range(size + 1):
        counts = Counts(samples=size, evaluated=size, correct=correct, failed=0, refused=0)
        found.append(decide(counts, accuracy(correct, size, size, RULES), [], RULES).verdict)
    return found
