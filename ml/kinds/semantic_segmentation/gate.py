"""What the Evaluator blesses a segmenter for."""

from __future__ import annotations

import json

import tensorflow_model_analysis as tfma

from ml.kinds.blessing import blessing_threshold
from ml.kinds.semantic_segmentation.metrics import MEAN_IOU, MeanIoU
from ml.settings import Settings

# Names that a pipeline's exported model and its examples keep to.
EVALUATION_SIGNATURE = "serving_examples"
PREDICTED_MASK = "mask_bytes"
TRUE_MASK = "mask"


def evaluation_config(settings: Settings) -> tfma.EvalConfig:
    """Mean IoU over all examples, each at its image's own size, of the settings' present classes."""
    model = settings.model
    threshold = blessing_threshold(settings)
    parameters = {
        "name": MEAN_IOU,
        "class_ids": model.ids,
        "ground_truth_key": TRUE_MASK,
        "prediction_key": PREDICTED_MASK,
        "ignore_ground_truth_id": model.ignore_index,
    }
    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(signature_name=EVALUATION_SIGNATURE)],
        slicing_specs=[tfma.SlicingSpec()],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    tfma.MetricConfig(
                        class_name=MeanIoU.__name__,
                        module=MeanIoU.__module__,
                        config=json.dumps(parameters),
                        threshold=threshold,
                    ),
                    tfma.MetricConfig(class_name="ExampleCount"),
                ]
            )
        ],
    )
