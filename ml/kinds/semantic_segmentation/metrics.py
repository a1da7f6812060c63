"""What the Evaluator measures of a segmenter. TFMA finds the class by the name of this module."""

from __future__ import annotations

from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.metrics.semantic_segmentation_confusion_matrix_metrics import (
    SemanticSegmentationConfusionMatrix,
)

MEAN_IOU = "mean_iou"
#: Beside the mean, which thresholds are on, under a name of its own: with the id of the class as sub-key.
CLASS_IOU = "iou"


class MeanIoU(tfma.metrics.Metric):
    """Intersection over union, each summed over all images, of the classes that occur in truth or prediction.

    Their mean is ``mean_iou``, 0 where every pixel is ignored; that of each class is ``iou``. ``class_ids`` are all
    there are; masks of truth and prediction are encoded images of ids; pixels whose truth is
    ``ignore_ground_truth_id`` count for nothing. The confusion matrices are TFMA's own.
    """

    def __init__(
        self,
        class_ids: list[int],
        ground_truth_key: str,
        prediction_key: str,
        ignore_ground_truth_id: int | None = None,
        name: str = MEAN_IOU,
    ) -> None:
        super().__init__(
            metric_util.merge_per_key_computations(_computations),
            name=name,
            class_ids=class_ids,
            ground_truth_key=ground_truth_key,
            prediction_key=prediction_key,
            ignore_ground_truth_id=ignore_ground_truth_id,
        )


def _computations(
    class_ids: list[int],
    ground_truth_key: str,
    prediction_key: str,
    ignore_ground_truth_id: int | None,
    name: str,
    model_name: str = "",
    **_: Any,
) -> list[Any]:
    matrices = SemanticSegmentationConfusionMatrix(
        class_ids=class_ids,
        ground_truth_key=ground_truth_key,
        prediction_key=prediction_key,
        decode_ground_truth=True,
        decode_prediction=True,
        ignore_ground_truth_id=ignore_ground_truth_id,
        name=f"_{name}_matrices",  # private: TFMA shows none that begins so
    ).computations(model_names=[model_name], output_names=[""])
    matrix, mean = matrices[-1].keys[-1], metric_types.MetricKey(name, model_name)

    def result(metrics: dict[Any, Any]) -> dict[Any, float]:
        ratios = {}
        for number in class_ids:
            counted = metrics[matrix._replace(sub_key=metric_types.SubKey(class_id=number))]
            if union := counted.tp + counted.fp + counted.fn:
                key = metric_types.MetricKey(CLASS_IOU, model_name, sub_key=metric_types.SubKey(class_id=number))
                ratios[key] = float(counted.tp / union)
        return {mean: sum(ratios.values()) / max(len(ratios), 1), **ratios}

    return [*matrices, metric_types.DerivedMetricComputation(keys=[mean], result=result)]


metric_types.register_metric(MeanIoU)
