"""What the Evaluator measures of a classifier, and what it takes to be blessed."""

from __future__ import annotations

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto.config_pb2 import PerSliceMetricThreshold  # not exported on TFX 1.21

from ml.kinds.blessing import blessing_threshold
from ml.settings import Settings

#: The metric that the blessing is decided on.
METRIC = "SparseCategoricalAccuracy"

# Names that a pipeline's exported classifier keeps to.
EVALUATION_SIGNATURE = "serving_examples"
LABELS_SIGNATURE = "transform_labels"
LABEL_INDEX = "label_index"
PROBABILITIES = "probabilities"


def evaluation_config(settings: Settings) -> tfma.EvalConfig:
    """Overall and for each label; the threshold holds overall.

    The model turns labels into the indices of its own vocabulary, so a label that it never saw counts as its mistake.
    """
    threshold = blessing_threshold(settings)
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(
                signature_name=EVALUATION_SIGNATURE,
                preprocessing_function_names=[LABELS_SIGNATURE],
                prediction_key=PROBABILITIES,
                label_key=LABEL_INDEX,
            )
        ],
        slicing_specs=[tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=["label"])],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    tfma.MetricConfig(
                        class_name=METRIC,
                        # As plain `threshold` they would hold for each label, too.
                        per_slice_thresholds=[
                            PerSliceMetricThreshold(slicing_specs=[tfma.SlicingSpec()], threshold=threshold)
                        ],
                    ),
                    tfma.MetricConfig(class_name="ExampleCount"),
                ]
            )
        ],
    )
