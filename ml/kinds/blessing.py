"""What a candidate has to reach to be blessed, whatever its kind measures."""

from __future__ import annotations

import tensorflow_model_analysis as tfma

from ml.settings import Settings


def blessing_thresholds(settings: Settings) -> tfma.MetricThreshold:
    """At least ``training.blessing_threshold``, and no more than ``training.blessing_max_loss`` below the baseline."""
    return tfma.MetricThreshold(
        value_threshold=tfma.GenericValueThreshold(lower_bound={"value": settings.training.blessing_threshold}),
        change_threshold=tfma.GenericChangeThreshold(
            direction=tfma.MetricDirection.HIGHER_IS_BETTER,
            absolute={"value": -settings.training.blessing_max_loss},
        ),
    )
