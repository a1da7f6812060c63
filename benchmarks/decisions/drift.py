"""DRIFTED by labels and predictions: how often the verdict is wrong, with and without a change of the labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from benchmarks.decisions.sizes import BATCHES, EXAMPLES, SETTINGS, WINDOW
from benchmarks.decisions.table import Table, percent, promise
from benchmarks.result import Result
from ml.evaluation.drift import measure_drift
from ml.evaluation.reference import Distributions, Evidence
from ml.settings_sections import EvaluationSettings

#: More where nothing has changed, since alarms are rare there.
REPETITIONS, REPETITIONS_UNCHANGED = 200, 500
LABELS = 10
ACCURACY = 0.95
LOW = 0.05
DEFAULT = SETTINGS.evaluation
#: (limit, how far one label's share has truly risen, at the others' cost).
CASES = ((LOW, 0.0), (0.3, 0.0), (0.3, 0.2), (0.3, 0.25), (0.3, 0.35), (0.3, 0.4), (0.3, 0.5))


def study() -> Iterator[Result]:
    dice = np.random.default_rng(20)
    rows, alarms = [], 0.0
    for limit, change in CASES:
        rates = [_drifted(limit, change, examples, batch, dice) for examples in EXAMPLES for batch in BATCHES]
        wrong = [1 - rate if change > limit else rate for rate in rates]
        if not change:
            alarms = max(alarms, *wrong)
        rows.append([f"{change:.2f} at a limit of {limit:.2f}", *map(percent, wrong)])
    columns = [f"{batch:,} against {WINDOW * examples:,} ({examples:,})" for examples in EXAMPLES for batch in BATCHES]
    table = Table("drift", ["true change", *columns], rows)
    # Two and a half standard errors of the repetitions above the rate that is set.
    rate = DEFAULT.drift_false_alarms
    bound = rate + 2.5 * (rate / REPETITIONS_UNCHANGED) ** 0.5
    yield promise("DRIFTED where nothing has changed", alarms, bound, table)


def _drifted(limit: float, change: float, examples: int, batch: int, dice: np.random.Generator) -> float:
    """How often the batch is DRIFTED."""
    rules = EvaluationSettings.model_validate(
        {**DEFAULT.model_dump(), "max_label_drift": limit, "max_prediction_drift": limit}
    )
    usual = np.full(LABELS, 1 / LABELS)
    changed = np.append(1 / LABELS + change, np.full(LABELS - 1, (1 - 1 / LABELS - change) / (LABELS - 1)))
    drifted = 0
    repetitions = REPETITIONS if change else REPETITIONS_UNCHANGED
    for _ in range(repetitions):
        reference = _draw(usual, WINDOW * examples, examples, dice)
        drifted += any(one.exceeded for one in measure_drift(reference, _draw(changed, batch, batch, dice), rules))
    return drifted / repetitions


def _draw(shares: npt.NDArray[np.float64], labels: int, predictions: int, dice: np.random.Generator) -> Distributions:
    said = ACCURACY * shares + (1 - ACCURACY) / LABELS
    true, predicted = dice.multinomial(labels, shares), dice.multinomial(predictions, said)
    return Distributions(_named(true), _named(predicted), {}, Evidence.COUNTS)


def _named(counts: npt.NDArray[np.int64]) -> dict[str, float]:
    return {str(number): float(count) for number, count in enumerate(counts)}
