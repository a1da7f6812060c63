"""The gate of segmenters: how often it refuses or claims, on images that are hard or easy for both models alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, norm

from benchmarks.decisions.gate import named
from benchmarks.decisions.scenes import overlaps
from benchmarks.decisions.sizes import EXAMPLES, SETTINGS, heads
from benchmarks.decisions.table import Table, percent, promise
from benchmarks.result import Result
from ml.comparison.evidence import of_images
from ml.comparison.gate import Contest, GateRules, decide
from ml.comparison.records import Comparison, GateDecision, Outcome
from ml.kinds.semantic_segmentation.overlap import mean_iou

#: How many comparisons are drawn of each size.
REPETITIONS = dict(zip(EXAMPLES, (300, 150, 40), strict=True))
#: How much larger the share of right pixels is that the candidate predicts of each class.
DIFFERENCES = (0.03, 0.0, -0.03)
RARE = 0.3
QUALITY = 0.8
#: How much the two models' qualities have in common, image by image.
ALIKE = 0.8
RULES = GateRules.of(SETTINGS)


def study() -> Iterator[Result]:
    dice = np.random.default_rng(20)
    found = {
        (difference, size): Counter(_ending(_compare(size, difference, dice)) for _ in range(repetitions))
        for difference in DIFFERENCES
        for size, repetitions in REPETITIONS.items()
    }
    rows = [
        [
            named(difference),
            ending,
            *(percent(found[difference, size][ending] / REPETITIONS[size]) for size in EXAMPLES),
        ]
        for difference in DIFFERENCES
        for ending in ("refused", "called better")
    ]
    table = Table("gate_of_masks", ["the candidate's right pixels", "it is", *heads(EXAMPLES, "images")], rows)
    refused = max(found[0.0, size]["refused"] / REPETITIONS[size] for size in EXAMPLES[:2])
    # The rate is drawn: a few percent of it are noise.
    yield promise("an equal segmenter is refused, 80 or 400 images", refused, RULES.error_rate + 0.03, table)


def _ending(found: Comparison) -> str:
    if found.decision is GateDecision.REFUSE:
        return "refused"
    return "called better" if found.outcome is Outcome.BETTER else "neither"


def _compare(images: int, difference: float, dice: np.random.Generator) -> Comparison:
    common = dice.normal(size=images)
    candidate, champion = (_quality(common, dice) for _ in range(2))
    rare = dice.random(images) < RARE
    pairs = [overlaps(rare, quality, dice) for quality in (np.clip(candidate + difference, 0, 1), champion)]
    evidence = of_images(
        pairs[0].astype(float),
        pairs[1].astype(float),
        mean_iou,
        max_loss=float(RULES.max_loss),
        error_rate=RULES.error_rate,
    )
    return decide(Contest("mean IoU", True, 1, [], [], evidence), RULES)


def _quality(common: npt.NDArray[np.float64], dice: np.random.Generator) -> npt.NDArray[np.float64]:
    """The share of right pixels in each image, in part what is ``common`` to both models."""
    latent = np.sqrt(ALIKE) * common + np.sqrt(1 - ALIKE) * dice.normal(size=len(common))
    quality: npt.NDArray[np.float64] = beta.ppf(norm.cdf(latent), 10 * QUALITY, 10 * (1 - QUALITY))
    return quality
