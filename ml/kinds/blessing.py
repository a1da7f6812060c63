"""What a candidate has to reach to be blessed, whatever its kind measures."""

from __future__ import annotations

import tensorflow_model_analysis as tfma

from ml.settings import Settings

#: TFMA measures in float32, in which 114 of 120 is less than 0.95. So what is below the threshold by less than this
#: reaches it.
TOLERANCE = 1e-6


def blessing_threshold(settings: Settings) -> tfma.MetricThreshold:
    """At least ``training.blessing_threshold``, which counts as reached up to :data:`TOLERANCE` below it. How the
    candidate compares with the champion is decided in ``ml.comparison``."""
    lowest = settings.training.blessing_threshold - TOLERANCE
    return tfma.MetricThreshold(value_threshold=tfma.GenericValueThreshold(lower_bound={"value": lowest}))
