"""How far a batch's distributions are from those that the release was trained on, measured by TensorFlow Data
Validation's drift comparators."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from ml.errors import DataError
from ml.evaluation.records import Drift, DriftDistance

Column = npt.NDArray[np.float32]

# A comparator measures only where it has a threshold; ml.evaluation.verdict decides whether a distance is too large.
_MEASURE_ALWAYS = 1.0
_AMOUNT = "amount"
#: What the amounts of all labels add up to: large against 1, the least that is told of.
_WHOLE = 1e9


def label_drift(feature: str, reference: Mapping[str, float], batch: Mapping[str, float], limit: float | None) -> Drift:
    """L-infinity distance of two distributions of labels, each given as how much there is of each (samples or areas,
    say); of a label that one lacks there is nothing.

    Raises ``DataError`` where one has nothing of any.
    """
    if not sum(reference.values()) or not sum(batch.values()):
        side = "batch" if sum(reference.values()) else "training window"
        raise DataError(f"there are no {feature} of the {side} to measure drift of")
    schema = schema_pb2.Schema()
    column = schema.feature.add(name=feature, type=schema_pb2.BYTES)
    column.drift_comparator.infinity_norm.threshold = _MEASURE_ALWAYS
    distances = _distances(schema, _label_statistics(feature, reference), _label_statistics(feature, batch))
    return Drift(feature=feature, distance=DriftDistance.L_INFINITY, value=distances[feature], limit=limit)


def numeric_drift(reference: Mapping[str, Column], batch: Mapping[str, Column], limit: float | None) -> list[Drift]:
    """Jensen-Shannon divergence of each column that both have, sorted by name. Columns are float32, not empty."""
    names = sorted(set(reference) & set(batch))
    if not names:
        return []
    schema = schema_pb2.Schema()
    for name in names:
        column = schema.feature.add(name=name, type=schema_pb2.FLOAT)
        column.drift_comparator.jensen_shannon_divergence.threshold = _MEASURE_ALWAYS
    distances = _distances(schema, _numeric_statistics(reference, names), _numeric_statistics(batch, names))
    return [
        Drift(feature=name, distance=DriftDistance.JENSEN_SHANNON, value=distances[name], limit=limit) for name in names
    ]


def _label_statistics(feature: str, amounts: Mapping[str, float]) -> statistics_pb2.DatasetFeatureStatisticsList:
    # Weighted by their amounts, a million labels cost as much as the number of different ones. A weight below 1 (a
    # small area, say) would pass for none.
    weights = np.array(list(amounts.values())) * (_WHOLE / sum(amounts.values()))
    frame = pd.DataFrame({feature: list(amounts), _AMOUNT: weights.astype(np.float32)})
    # The distance is taken over the rank histogram, so no label may fall out of it.
    options = tfdv.StatsOptions(weight_feature=_AMOUNT, num_rank_histogram_buckets=len(amounts))
    return tfdv.generate_statistics_from_dataframe(frame, options, n_jobs=1)


def _numeric_statistics(columns: Mapping[str, Column], names: list[str]) -> statistics_pb2.DatasetFeatureStatisticsList:
    frame = pd.DataFrame({name: np.asarray(columns[name], np.float32) for name in names})
    return tfdv.generate_statistics_from_dataframe(frame, tfdv.StatsOptions(), n_jobs=1)


def _distances(
    schema: schema_pb2.Schema,
    reference: statistics_pb2.DatasetFeatureStatisticsList,
    batch: statistics_pb2.DatasetFeatureStatisticsList,
) -> dict[str, float]:
    anomalies: anomalies_pb2.Anomalies = tfdv.validate_statistics(
        statistics=batch, schema=schema, previous_statistics=reference
    )
    return {
        info.path.step[0]: float(measurement.value)
        for info in anomalies.drift_skew_info
        for measurement in info.drift_measurements
    }
