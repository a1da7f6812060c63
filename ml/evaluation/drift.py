"""How far a batch's distributions are from those that the release was trained on, and whether chance does as much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ml.errors import DataError
from ml.evaluation.binning import Column, bin_counts, quantile_cuts
from ml.evaluation.records import Drift, DriftDistance
from ml.evaluation.reference import Distributions, Evidence
from ml.evaluation.significance import (
    dealings,
    divergence,
    holm,
    p_bound_of_shares,
    p_of_counts,
    p_of_divergence,
    p_of_rows,
)
from ml.settings_sections import EvaluationSettings

#: Samples of each side, evenly spread, whose rows are dealt out.
_ROWS = 2_000
#: Dealings for what is reported and not judged.
_REPORTED = 999

_DEFAULT = EvaluationSettings().drift_false_alarms


def measure_drift(reference: Distributions, found: Distributions, rules: EvaluationSettings) -> list[Drift]:
    """Every drift that can be measured: labels, predictions, and each statistic of the samples that both sides have.

    Those that differ by more than chance at the rate ``rules.drift_false_alarms``, which holds for all limited ones
    together, are marked ``significant``.

    Raises ``DataError`` where there is a limit and nothing to measure: silence would pass for "no drift".
    """
    rate = rules.drift_false_alarms
    samples = numeric_drift(reference.statistics, found.statistics, rules.max_image_drift, rate)
    if rules.max_image_drift is not None and not samples:
        raise DataError("evaluation.max_image_drift is set, but no sample of the batch or its window could be measured")
    evidence = found.evidence if found.evidence is reference.evidence else Evidence.UNKNOWN
    rows = (reference.label_shares, found.label_shares)
    return judged(
        [
            label_drift("labels", reference.labels, found.labels, rules.max_label_drift, evidence, rows, rate),
            label_drift("predictions", reference.predicted, found.predicted, rules.max_prediction_drift, evidence),
            *samples,
        ],
        rate,
    )


def judged(drift: Sequence[Drift], false_alarms: float) -> list[Drift]:
    """The same with ``significant``: of those that have a limit, all that Holm's procedure rejects. One without p isn't
    among them."""
    tested = [number for number, one in enumerate(drift) if one.limit is not None and one.p_value is not None]
    rejected = holm([drift[number].p_value or 0.0 for number in tested], false_alarms)
    significant = {number for number, is_rejected in zip(tested, rejected, strict=True) if is_rejected}
    return [one.model_copy(update={"significant": number in significant}) for number, one in enumerate(drift)]


def label_drift(
    feature: str,
    reference: Mapping[str, float],
    batch: Mapping[str, float],
    limit: float | None,
    evidence: Evidence = Evidence.COUNTS,
    rows: tuple[Mapping[str, Column], Mapping[str, Column]] = ({}, {}),
    false_alarms: float = _DEFAULT,
) -> Drift:
    """L-infinity distance of two distributions of labels, each given as how much there is of each (samples or areas,
    say); of a label that one lacks there is nothing. ``evidence`` says what the amounts are, ``rows`` are the shares of
    each label in single samples, if known.

    Raises ``DataError`` where one has nothing of any.
    """
    labels = sorted({*reference, *batch})
    window, found = (np.array([side.get(label, 0) for label in labels], np.float64) for side in (reference, batch))
    if not window.sum() or not found.sum():
        side = "batch" if window.sum() else "training window"
        raise DataError(f"there are no {feature} of the {side} to measure drift of")
    shares = window / window.sum(), found / found.sum()
    p_value = None
    if evidence is Evidence.COUNTS:
        p_value = p_of_counts(np.rint(window).astype(np.int64), np.rint(found).astype(np.int64))
    elif evidence is Evidence.SHARES:
        names = sorted(set(rows[0]) & set(rows[1]))
        if names:
            p_value = p_of_rows(_table(rows[0], names), _table(rows[1], names), dealings(2, false_alarms))
        else:
            p_value = p_bound_of_shares(shares[0], max(1, round(window.sum())), shares[1], max(1, round(found.sum())))
    known = evidence is not Evidence.UNKNOWN
    return Drift(
        feature=feature,
        distance=DriftDistance.L_INFINITY,
        value=float(np.abs(shares[1] - shares[0]).max()),
        limit=limit,
        p_value=p_value,
        samples=round(found.sum()) if known else None,
        window_samples=round(window.sum()) if known else None,
    )


def numeric_drift(
    reference: Mapping[str, Column],
    batch: Mapping[str, Column],
    limit: float | None,
    false_alarms: float = _DEFAULT,
) -> list[Drift]:
    """Jensen-Shannon divergence of each column that both have, sorted by name. Columns are float32, not empty.

    The divergence is taken over bins of the window (see ``binning``), p over the same bins of both sides together: the
    one stays what it is with other samples of the batch, the other may not depend on which side a sample is of.
    """
    names = sorted(set(reference) & set(batch))
    most = _REPORTED if limit is None else dealings(len(names) + 2, false_alarms)
    return [_numeric(name, reference[name], batch[name], limit, most) for name in names]


def _numeric(name: str, reference: Column, batch: Column, limit: float | None, most: int) -> Drift:
    cuts, pooled = quantile_cuts(reference), quantile_cuts(np.concatenate([reference, batch]))
    return Drift(
        feature=name,
        distance=DriftDistance.JENSEN_SHANNON,
        value=float(divergence(bin_counts(reference, cuts), bin_counts(batch, cuts))),
        limit=limit,
        p_value=p_of_divergence(bin_counts(reference, pooled), bin_counts(batch, pooled), most),
        samples=len(batch),
        window_samples=len(reference),
    )


def _table(rows: Mapping[str, Column], names: Sequence[str]) -> npt.NDArray[np.float64]:
    """float64[samples, names] of at most 2,000 evenly spread samples."""
    table = np.stack([np.asarray(rows[name], np.float64) for name in names], axis=1)
    return table[np.linspace(0, len(table) - 1, min(len(table), _ROWS), dtype=int)]
