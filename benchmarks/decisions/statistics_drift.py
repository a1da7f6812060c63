"""DRIFTED by statistics of the samples, where ``evaluation.max_image_drift`` is set: how often the verdict is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.special import rel_entr
from scipy.stats import norm

from benchmarks.decisions.sizes import SETTINGS
from benchmarks.decisions.table import Table, percent, promise
from benchmarks.result import Result
from ml.evaluation.drift import judged, numeric_drift

REPETITIONS, REPETITIONS_UNCHANGED = 100, 200
COLUMNS = 3
#: (samples of the batch, of the window). Of a larger batch, 2,000 samples are measured.
SIZES = ((100, 400), (1_000, 400), (100, 2_000), (1_000, 2_000), (2_000, 10_000))
#: (limit, by how many standard deviations one of the columns has moved).
CASES = ((0.05, 0.0), (0.1, 0.0), (0.1, 0.5), (0.1, 1.0), (0.1, 1.5))
RATE = SETTINGS.evaluation.drift_false_alarms


def study() -> Iterator[Result]:
    dice = np.random.default_rng(20)
    rows, alarms = [], 0.0
    for limit, moved in CASES:
        true = _divergence(moved)
        rates = [_drifted(limit, moved, window, batch, dice) for batch, window in SIZES]
        wrong = [1 - rate if true > limit else rate for rate in rates]
        if not moved:
            alarms = max(alarms, *wrong)
        rows.append([f"{true:.3f} ({moved:g} standard deviations) at a limit of {limit:g}", *map(percent, wrong)])
    columns = [f"{batch:,} against {window:,}" for batch, window in SIZES]
    table = Table("statistics_drift", ["true divergence", *columns], rows)
    limit = RATE + 2.5 * (RATE / REPETITIONS_UNCHANGED) ** 0.5
    yield promise("DRIFTED by three statistics where nothing has changed", alarms, limit, table)


def _drifted(limit: float, moved: float, window: int, batch: int, dice: np.random.Generator) -> float:
    drifted = 0
    repetitions = REPETITIONS if moved else REPETITIONS_UNCHANGED
    for _ in range(repetitions):
        reference, found = _draw(window, 0.0, dice), _draw(batch, moved, dice)
        drifted += any(one.exceeded for one in judged(numeric_drift(reference, found, limit, RATE), RATE))
    return drifted / repetitions


def _draw(size: int, moved: float, dice: np.random.Generator) -> dict[str, npt.NDArray[np.float32]]:
    """Columns of normal values, of which the first has moved."""
    return {str(number): dice.normal(0 if number else moved, 1, size).astype(np.float32) for number in range(COLUMNS)}


def _divergence(moved: float) -> float:
    """Of two normal distributions, from their probabilities over a fine grid."""
    grid = np.linspace(-8, 8 + moved, 100_001)
    one, other = np.diff(norm.cdf(grid)), np.diff(norm.cdf(grid - moved))
    mixed = (one + other) / 2
    return float((rel_entr(one, mixed).sum() + rel_entr(other, mixed).sum()) / 2 / np.log(2))
