"""How far predicted masks overlap with the true ones: intersection over union. Pure: arrays in, numbers out.

Of each image three counts are kept for each class: pixels of the class in both masks, in the true one, in the predicted
one. They add up over images, and any sum of them has its IoU; pixels that the truth doesn't label are in none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ml.evaluation.records import Interval

Mask = npt.NDArray[np.uint8]
#: int64[…, 3, classes]: pixels in both masks, in the true one, in the predicted one.
Overlaps = npt.NDArray[np.int64]

_BOTH, _TRUE, _PREDICTED = range(3)
_IDS = 256
_RESAMPLES = 1_000


def index_table(ids: Sequence[int]) -> npt.NDArray[np.int16]:
    """int16[256]: class id → its position in ``ids``, -1 for every other number."""
    table = np.full(_IDS, -1, np.int16)
    table[list(ids)] = np.arange(len(ids), dtype=np.int16)
    return table


def confusion(truth: Mask, predicted: Mask, table: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
    """int64[classes, classes]: how many pixels of each true class (rows) were predicted as each class (columns).

    Both masks hold class ids, uint8[H, W], ``table`` is of :func:`index_table`. Pixels without a true class are left
    out. Raises ``ValueError`` for masks of two sizes, and for a predicted id that is no class.
    """
    if truth.shape != predicted.shape:
        raise ValueError(
            f"the predicted mask is {predicted.shape[1]} × {predicted.shape[0]} pixels and the true one "
            f"{truth.shape[1]} × {truth.shape[0]}"
        )
    classes = int(table.max()) + 1
    labelled = table[truth] >= 0
    rows, columns = table[truth[labelled]].astype(np.int64), table[predicted[labelled]].astype(np.int64)
    if np.any(columns < 0):
        raise ValueError(f"class id {int(predicted[labelled][columns < 0][0])} is predicted, which is no class")
    return np.bincount(rows * classes + columns, minlength=classes * classes).reshape(classes, classes)


def overlaps(matrix: npt.NDArray[np.int64]) -> Overlaps:
    """int64[…, 3, classes] of confusion matrices int64[…, classes, classes]."""
    both = np.diagonal(matrix, axis1=-2, axis2=-1)
    return np.stack([both, matrix.sum(axis=-1), matrix.sum(axis=-2)], axis=-2)


def iou(counts: Overlaps) -> npt.NDArray[np.float64]:
    """float64[…, classes]: the intersection over union of each class; NaN where neither mask has it."""
    both = counts[..., _BOTH, :].astype(np.float64)
    union = counts[..., _TRUE, :] + counts[..., _PREDICTED, :] - both
    found: npt.NDArray[np.float64] = np.divide(both, union, out=np.full(both.shape, np.nan), where=union > 0)
    return found


def mean_iou(counts: Overlaps) -> npt.NDArray[np.float64]:
    """float64[…]: the mean over the classes that either mask has (the Jaccard index, averaged over classes as in M.
    Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 111 (2015)); NaN where there is none."""
    each = iou(counts)
    present = ~np.isnan(each)
    found = present.sum(axis=-1)
    total = np.where(present, each, 0).sum(axis=-1)
    mean: npt.NDArray[np.float64] = np.divide(total, found, out=np.full(total.shape, np.nan), where=found > 0)
    return mean


def intervals(images: Overlaps, confidence: float, *, seed: int = 0) -> tuple[Interval, list[Interval]]:
    """How sure the mean IoU and that of each class are: percentile bootstrap intervals over images, of 1,000 resamples.

    ``images`` is int64[images, 3, classes]. The pixels of one image are no independent trials, so images are drawn
    (B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979)). Each interval holds
    the value itself; it is 0 to 1 where fewer than two images tell anything of it. The same images give the same
    intervals, in whatever order.
    """
    count, _, classes = images.shape
    # Small enough to be exact in float64, where the product below is fast.
    flat = images.reshape(count, 3 * classes).astype(np.float64)
    flat = flat[np.lexsort(flat.T)]
    draws = np.random.default_rng(seed)
    totals = np.empty((_RESAMPLES if count > 1 else 0, 3, classes))
    for resample in totals:
        times = np.bincount(draws.integers(count, size=count), minlength=count)
        resample[...] = (times @ flat).reshape(3, classes)
    resampled, total = totals.astype(np.int64), images.sum(axis=0)
    telling = np.count_nonzero(images[:, _TRUE] + images[:, _PREDICTED], axis=0)
    ends = (50 * (1 - confidence), 50 * (1 + confidence))
    each = [
        _interval(values, value, int(images_with), ends)
        for values, value, images_with in zip(iou(resampled).T, iou(total), telling, strict=True)
    ]
    return _interval(mean_iou(resampled), float(mean_iou(total)), count, ends), each


def _interval(values: npt.NDArray[np.float64], value: float, images: int, ends: tuple[float, float]) -> Interval:
    known = values[~np.isnan(values)]
    if images < 2 or not len(known):
        return Interval(low=0.0, high=1.0)
    low, high = np.percentile(known, ends)
    return Interval(low=max(0.0, min(float(low), value)), high=min(1.0, max(float(high), value)))
