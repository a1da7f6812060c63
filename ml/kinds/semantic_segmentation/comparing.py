"""Compares the masks that two segmenters predict."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.comparison.evidence import Evidence, of_images
from ml.kinds.kind import Refused
from ml.kinds.semantic_segmentation.comparison import predicted_mask
from ml.kinds.semantic_segmentation.masks import Ids, decode_mask
from ml.kinds.semantic_segmentation.overlap import index_table, mean_iou
from ml.kinds.semantic_segmentation.settings import SegmentationSettings

#: Examples were checked when their span was prepared.
_ANY_SIZE = 1 << 62


class MaskComparer:
    """An ``ml.comparison.comparer.Comparer`` of mean IoU over the settings' classes that aren't ``ignored``.

    Pixels whose truth is none of them are left out. A predicted id that is none of them, as a champion with other
    classes may give, is wrong.
    """

    collected = "image"

    def __init__(self, model: SegmentationSettings, ignored: Collection[str]) -> None:
        ids = [each.id for each in model.classes if each.name not in ignored]
        self._classes, self._table = len(ids), index_table(ids)
        self._pairs: list[npt.NDArray[np.float64]] = []

    def add(self, example: Any, candidate: Any | Refused, champion: Any | Refused) -> None:
        [mask] = example.features.feature["mask"].bytes_list.value
        truth = decode_mask(mask, _ANY_SIZE)
        self._pairs.append(np.stack([self._areas(truth, candidate), self._areas(truth, champion)]))

    def evidence(self, max_loss: float, error_rate: float) -> Evidence | None:
        if not self._pairs:
            return None
        pairs = np.stack(self._pairs)
        return of_images(pairs[:, 0], pairs[:, 1], mean_iou, max_loss=max_loss, error_rate=error_rate)

    def _areas(self, truth: Ids, answer: Any | Refused) -> npt.NDArray[np.float64]:
        """float64[3, classes]: pixels in both masks, in the true one, in the predicted one; see ``overlap``."""
        labelled = self._table[truth] >= 0
        true = self._table[truth[labelled]]
        if isinstance(answer, Refused):
            predicted = np.full_like(true, -1)
        else:
            mask = predicted_mask(answer.mask_bytes.b64)
            if mask.shape != truth.shape:
                raise ValueError(f"a mask of {mask.shape} pixels for an image of {truth.shape}")
            predicted = self._table[mask[labelled]]
        each = (true[true == predicted], true, predicted[predicted >= 0])
        return np.stack([np.bincount(ids, minlength=self._classes) for ids in each]).astype(np.float64)
