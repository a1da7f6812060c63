"""What the Evaluator blesses a segmenter for."""

from __future__ import annotations

import json

import tensorflow_model_analysis as tfma

from ml.kinds.semantic_segmentation.metrics import MEAN_IOU, MeanIoU
from ml.settings import Settings

# Names that a pipeline's exported model and its examples keep to.
EVALUATION_SIGNATURE = "serving_examples"
PREDICTED_MASK = "mask_bytes"
TRUE_MASK = "mask"


def evaluation_config(settings: Settings) -> tfma.EvalConfig:
    """Mean IoU over all examples, each at its image's own size; the thresholds hold for candidate and baseline on the
    same examples, and for the settings' present classes.

    A class that the baseline never learnt counts as its mistake.
    """
    model = settings.model
    thresholds = tfma.MetricThreshold(
        value_threshold=tfma.GenericValueThreshold(lower_bound={"value": settings.training.blessing_threshold}),
        change_threshold=tfma.GenericChangeThreshold(
            direction=tfma.MetricDirection.HIGHER_IS_BETTER,
            absolute={"value": -settings.training.blessing_max_loss},
        ),
    )
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
                        threshold=thresholds,
                    ),
                    tfma.MetricConfig(class_name="ExampleCount"),
                ]
            )
        ],
    )
