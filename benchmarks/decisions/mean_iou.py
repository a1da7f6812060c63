"""DEGRADED by mean IoU: how often the verdict is wrong, on images of which some are easier than others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.decisions.scenes import draw
from benchmarks.decisions.sizes import SAMPLES, SETTINGS, heads
from benchmarks.decisions.table import Table, percent, promise
from benchmarks.result import Result
from ml.evaluation.records import Counts, Interval, Metric
from ml.evaluation.verdict import Rules, decide
from ml.kinds.semantic_segmentation.overlap import mean_iou
from ml.records import Verdict

REPETITIONS = 1_000
RARE = 0.1
QUALITY = 0.8
#: How far the truth is from the threshold.
BY = (-0.05, -0.03, -0.01, 0.01, 0.03, 0.05)
#: The largest one costs more than it tells.
SIZES = SAMPLES[:-1]


def study() -> Iterator[Result]:
    """The drawn scenes have one true value; the threshold is put at each distance from it."""
    dice = np.random.default_rng(20)
    true = float(mean_iou(draw(200_000, RARE, QUALITY, dice).sum(axis=0)))
    rates = {size: _wrong(size, true, dice) for size in SIZES}
    rows = [
        [f"{100 * by:+.0f} points", *(_cell(rates[size], number) for size in SIZES)] for number, by in enumerate(BY)
    ]
    table = Table("mean_iou", ["true mean IoU above the threshold by", *heads(SIZES, "images")], rows)
    found = rates[400]
    worst = max(found[0], found[-1]) if found is not None else 1.0
    yield promise("a verdict by mean IoU 5 points from the threshold, 400 images", worst, 0.05, table)


def _cell(rates: list[float] | None, number: int) -> str:
    return "no verdict" if rates is None else percent(rates[number])


def _wrong(size: int, true: float, dice: np.random.Generator) -> list[float] | None:
    """How often each distance is decided wrong; None where nothing is."""
    values = [float(mean_iou(draw(size, RARE, QUALITY, dice).sum(axis=0))) for _ in range(REPETITIONS)]
    rates = []
    for by in BY:
        found = [_verdict(size, value, true - by) for value in values]
        if Verdict.INSUFFICIENT_DATA in found:
            return None
        right = Verdict.PASS if by >= 0 else Verdict.DEGRADED
        rates.append(sum(verdict is not right for verdict in found) / len(found))
    return rates


def _verdict(size: int, value: float, threshold: float) -> Verdict:
    rules = Rules.of(SETTINGS)
    metric = Metric(
        name="mean_iou",
        called="mean IoU",
        value=value,
        interval=Interval(low=0, high=1),  # decides nothing
        confidence=rules.confidence,
        threshold=threshold,
    )
    return decide(Counts(samples=size, evaluated=size, failed=0, refused=0), metric, [], rules).verdict
