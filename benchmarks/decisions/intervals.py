"""The reported 95 % intervals: how often they don't hold the true value."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import binom

from benchmarks.decisions.scenes import draw
from benchmarks.decisions.sizes import SAMPLES, SETTINGS, heads
from benchmarks.decisions.table import Table, percent, promise
from benchmarks.result import Result
from ml.evaluation.intervals import wilson
from ml.kinds.semantic_segmentation.overlap import intervals, mean_iou

REPETITIONS = 150
CONFIDENCE = SETTINGS.evaluation.confidence
ACCURACIES = (0.5, 0.8, 0.9, 0.95, 0.99)
RARE = (1.0, 0.1, 0.03)
QUALITY = 0.8
#: Bootstraps of larger ones take minutes.
IMAGES = (80, 100, 400)


def study() -> Iterator[Result]:
    rows = [[f"accuracy {100 * true:.0f} %", *(percent(_wilson(n, true)) for n in SAMPLES)] for true in ACCURACIES]
    worst = max(_wilson(size, true) for size in SAMPLES[1:] for true in ACCURACIES[:-1])
    wilsons = Table("wilson", ["Wilson, true", *heads(SAMPLES, "samples")], rows)
    yield promise("a Wilson interval without the truth, 100 samples or more", worst, 0.065, wilsons)
    dice = np.random.default_rng(20)
    found = {rare: [_bootstrap(images, rare, dice) for images in IMAGES] for rare in RARE}
    rows = [[f"a class in {100 * rare:.0f} % of the images", *map(percent, rates)] for rare, rates in found.items()]
    boots = Table("bootstrap", ["bootstrap of mean IoU, with", *heads(IMAGES, "images")], rows)
    yield promise("a bootstrap interval without the truth, 400 images", found[RARE[0]][-1], 0.1, boots)


def _wilson(size: int, true: float) -> float:
    held = np.array([true in wilson(correct, size, CONFIDENCE) for correct in range(size + 1)])
    return float(binom.pmf(np.arange(size + 1), size, true)[~held].sum())


def _bootstrap(images: int, rare: float, dice: np.random.Generator) -> float:
    true = float(mean_iou(draw(200_000, rare, QUALITY, dice).sum(axis=0)))
    missed = 0
    for _ in range(REPETITIONS):
        interval, _ = intervals(draw(images, rare, QUALITY, dice), CONFIDENCE)
        missed += true not in interval
    return missed / REPETITIONS
