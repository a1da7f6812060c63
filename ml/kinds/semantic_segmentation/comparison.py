"""Adds up how predicted masks compare with the true ones, for a folder's score and for a batch's evaluation alike."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from PIL.PngImagePlugin import PngImageFile

from ml.evaluation.records import ClassScore, Interval, Metric
from ml.evaluation.verdict import Rules
from ml.kinds.semantic_segmentation.masks import Ids
from ml.kinds.semantic_segmentation.overlap import (
    Overlaps,
    confusion,
    index_table,
    intervals,
    iou,
    mean_iou,
    overlaps,
)
from ml.kinds.semantic_segmentation.settings import SegmentationSettings
from ml.kinds.semantic_segmentation.words import METRIC, WORDS


class Comparison:
    """What was found so far; memory grows by three numbers for each class with each image."""

    def __init__(self, model: SegmentationSettings) -> None:
        self._names, self._table = model.names, index_table(model.ids)
        self._images: list[Overlaps] = []
        self._failed: list[Overlaps] = []
        self._matrix = np.zeros((len(self._names), len(self._names)), np.int64)

    def add(self, truth: Ids, predicted: Ids) -> float:
        """Counts one image; its own mean IoU. Raises ``ValueError`` for masks that can't be compared (see
        ``overlap.confusion``)."""
        matrix = confusion(truth, predicted, self._table)
        self._matrix += matrix
        self._images.append(overlaps(matrix))
        return float(mean_iou(self._images[-1]))

    def add_failed(self, truth: Ids) -> None:
        """Counts an image without a prediction, of which no pixel is right."""
        areas = np.bincount(self._table[truth][self._table[truth] >= 0], minlength=len(self._names))
        self._failed.append(np.stack([np.zeros_like(areas), areas, np.zeros_like(areas)]))

    @property
    def images(self) -> int:
        """How many images were compared; those that failed don't count."""
        return len(self._images)

    def metric(self, rules: Rules) -> Metric:
        """Mean IoU of the images that were compared; ``lowest`` is that of all, the failed ones wrong everywhere."""
        interval, _ = self._intervals(self._images, rules.confidence)
        return self._metric(self._images, interval, rules)

    def metric_of_all(self, rules: Rules) -> Metric:
        """The same of all images, also those that failed."""
        every = [*self._images, *self._failed]
        interval, _ = self._intervals(every, rules.confidence)
        return self._metric(every, interval, rules)

    def further(self) -> dict[str, float]:
        """Pixel accuracy: the share of all labelled pixels that was predicted right."""
        pixels = int(self._matrix.sum())
        return {"pixel_accuracy": float(np.trace(self._matrix)) / pixels} if pixels else {}

    def classes(self, confidence: float, human_level: Mapping[str, float] | float) -> list[ClassScore]:
        """The IoU of each class that occurs in the truth or in a prediction, in the settings' order."""
        total = self._total(self._images)
        pixels = int(total[1].sum())
        _, each = self._intervals(self._images, confidence)
        failed = self._total(self._failed)[1]
        scores = []
        for position, (name, value) in enumerate(zip(self._names, iou(total).tolist(), strict=True)):
            if np.isnan(value) and not failed[position]:
                continue
            people = human_level.get(name, 1.0) if isinstance(human_level, Mapping) else human_level
            score = None if np.isnan(value) else value
            share = int(total[1, position]) / pixels if pixels else 0.0
            gap = None if score is None else people - score
            scores.append(
                ClassScore(
                    label=name,
                    seen=True,
                    count=int(total[1, position]),
                    correct=int(total[0, position]),
                    failed=int(failed[position]),
                    share=share,
                    interval=each[position],
                    human_level=people,
                    score=score,
                    gap=gap,
                    priority=None if gap is None else gap * share,
                )
            )
        return scores

    def confusion(self) -> dict[str, dict[str, int]]:
        """Pixels: true class → predicted class → count, zeros left out."""
        return {
            true: row
            for true, counts in zip(self._names, self._matrix.tolist(), strict=True)
            if (row := {said: count for said, count in zip(self._names, counts, strict=True) if count})
        }

    def _metric(self, images: list[Overlaps], interval: Interval, rules: Rules) -> Metric:
        return Metric(
            name=METRIC,
            called=WORDS.metric,
            value=_value(self._total(images)),
            interval=interval,
            confidence=rules.confidence,
            threshold=rules.threshold,
            lowest=_value(self._total([*self._images, *self._failed])),
        )

    def _intervals(self, images: list[Overlaps], confidence: float) -> tuple[Interval, list[Interval]]:
        stacked = np.stack(images) if images else np.zeros((0, 3, len(self._names)), np.int64)
        return intervals(stacked, confidence)

    def _total(self, images: list[Overlaps]) -> Overlaps:
        return np.sum(images, axis=0, dtype=np.int64) if images else np.zeros((3, len(self._names)), np.int64)


def predicted_mask(png: bytes) -> npt.NDArray[np.uint8]:
    """The class ids uint8[H, W] in a mask that the model wrote. Raises ``ValueError`` for anything else."""
    try:
        ids = np.asarray(PngImageFile(io.BytesIO(png)))
    except (OSError, SyntaxError) as error:
        raise ValueError(f"the predicted mask is no PNG: {error}") from error
    if ids.ndim != 2 or ids.dtype != np.uint8:
        raise ValueError("the predicted mask is no PNG of 8-bit grey")
    return ids


def _value(total: Overlaps) -> float | None:
    value = float(mean_iou(total))
    return None if np.isnan(value) else value
