"""How good a segmenter's answers are on images with their masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ml.errors import DataError
from ml.evaluation.records import Metric
from ml.evaluation.verdict import Rules
from ml.kinds.images.encoded import UnusableImageError
from ml.kinds.kind import Collected
from ml.kinds.semantic_segmentation.comparison import Comparison, predicted_mask
from ml.kinds.semantic_segmentation.masks import Ids, check_mask, decode_mask
from ml.kinds.semantic_segmentation.settings import SegmentationSettings
from ml.settings import Settings


class MaskScorer:
    """An ``ml.evaluation.judging.Scorer``. ``add`` raises ``DataError`` for a mask that can't be used, and for a
    release that predicts other classes."""

    def __init__(self, settings: Settings) -> None:
        self._rules, self._max_pixels = Rules.of(settings), settings.data.max_sample_pixels
        self._model: SegmentationSettings = settings.model
        self._comparison = Comparison(self._model)

    def add(self, samples: Sequence[Collected], answers: Sequence[Any | str]) -> None:
        for sample, answer in zip(samples, answers, strict=True):
            try:
                truth = decode_mask(sample.objects[1], self._max_pixels)
                if isinstance(answer, str):
                    check_mask(truth, truth.shape, self._model.ids, self._model.ignore_index)
                    self._comparison.add_failed(truth)
                else:
                    self._compare(truth, predicted_mask(answer.mask_bytes.b64))
            except (UnusableImageError, ValueError) as error:
                raise DataError(f"a mask can't be compared: {error}") from error

    def metric(self) -> Metric:
        return self._comparison.metric_of_all(self._rules)

    def further(self) -> dict[str, float]:
        return self._comparison.further()

    def _compare(self, truth: Ids, predicted: Ids) -> None:
        check_mask(truth, predicted.shape, self._model.ids, self._model.ignore_index)
        self._comparison.add(truth, predicted)
