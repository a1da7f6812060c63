"""Decides what an evaluation says of the released model. Pure: numbers in, a verdict with its reasons out.

The rules, the first that holds decides:

1. ``INSUFFICIENT_DATA`` — fewer than ``min_evaluated`` usable predictions; or a larger share of the samples proves
   nothing (see ``known``) than ``max_known_share``, or a larger share of the predictions failed than
   ``max_failed_share``: what is left says nothing of the whole batch.
2. ``DEGRADED`` — the metric is below ``threshold``. The point estimate decides, not its interval: the interval tells
   how sure the decision is, and the reason says when it is not significant. Waiting for significance would keep a model
   of 88 % accuracy in service against a threshold of 90 % until some 900 samples prove it, and asking the interval's
   low end to pass would retrain a good model on every small batch; both are errors of one kind only. The point estimate
   errs equally either way, and ``min_evaluated`` is the knob that bounds how often.
3. ``DRIFTED`` — the metric is good enough, but a drift is above its limit, and chance alone gives as much in no more
   than ``drift_false_alarms`` of the batches (see ``drift``). What is above its limit by no more than chance does is
   reported as such, and decides nothing.
4. ``PASS``.

A metric equal to the threshold passes; a drift equal to its limit does not count as drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml.evaluation.records import Counts, Drift, Metric
from ml.records import Verdict

if TYPE_CHECKING:
    from ml.settings import Settings


@dataclass(frozen=True)
class Rules:
    """What is good enough, and how sure a figure has to be told: the settings' ``evaluation`` section and
    ``data.max_refused_share``."""

    threshold: float
    confidence: float
    min_evaluated: int
    max_failed_share: float
    max_known_share: float = 0.5

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """The rules that a pipeline's settings give."""
        section = settings.evaluation
        return cls(
            section.threshold,
            section.confidence,
            section.min_evaluated,
            settings.data.max_refused_share,
            section.max_known_share,
        )


@dataclass(frozen=True)
class Decision:
    verdict: Verdict
    reasons: tuple[str, ...]


def decide(counts: Counts, metric: Metric, drift: Sequence[Drift], rules: Rules) -> Decision:
    """The verdict by the rules above. ``reasons``: one sentence each, first the one that decided, then whatever else
    a reader has to know (drift of a degraded model, failed predictions, labels never seen)."""
    by_chance = [_chance_reason(one) for one in drift if one.is_large and not one.exceeded]
    asides = [*_told_failures(counts, metric), *_told_unseen(counts), *_left_out_reason(counts), *by_chance]
    drifted = [_told_drift(one) for one in drift if one.exceeded]
    if metric.value is None or counts.evaluated < rules.min_evaluated:
        reason = (
            f"Only {counts.evaluated:,} of {counts.samples:,} samples could be evaluated; a verdict takes at least "
            f"{rules.min_evaluated:,}."
        )
        return Decision(Verdict.INSUFFICIENT_DATA, (reason, *asides))
    if counts.share(counts.left_out) > rules.max_known_share:
        reason = (
            f"{counts.left_out:,} of {counts.samples:,} samples prove nothing "
            f"({_percent(counts.share(counts.left_out))}), more than the {_round_percent(rules.max_known_share)} "
            "allowed: the rest says too little of the batch."
        )
        return Decision(Verdict.INSUFFICIENT_DATA, (reason, *asides))
    if counts.failed / counts.counted > rules.max_failed_share:
        reason = (
            f"{counts.failed:,} of {counts.counted:,} predictions failed ({_percent(counts.failed / counts.counted)}), "
            f"more than the {_round_percent(rules.max_failed_share)} allowed: the rest says too little of the batch."
        )
        return Decision(Verdict.INSUFFICIENT_DATA, (reason, *asides))
    if metric.value < metric.threshold:
        return Decision(Verdict.DEGRADED, (_told_metric(metric.value, metric, "below"), *drifted, *asides))
    if drifted:
        return Decision(Verdict.DRIFTED, (*drifted, _told_metric(metric.value, metric, "not below"), *asides))
    return Decision(Verdict.PASS, (_told_metric(metric.value, metric, "not below"), *asides))


def _told_metric(value: float, metric: Metric, side: str) -> str:
    low, high = _percent(metric.interval.low), _percent(metric.interval.high)
    unsure = (
        "" if metric.is_significant else "; the threshold is within the interval, so more samples may turn this around"
    )
    return (
        f"{metric.title} is {_percent(value)} ({_round_percent(metric.confidence)} interval {low} to {high}), {side} "
        f"the threshold of {_round_percent(metric.threshold)}{unsure}."
    )


def _told_drift(drift: Drift) -> str:
    return f"{_distance(drift)}{'' if drift.p_value is None else f', significantly ({_evidence(drift)})'}."


def _chance_reason(drift: Drift) -> str:
    if drift.p_value is None:
        return f"{_distance(drift)}, but whether by chance can't be computed: it doesn't count as drift."
    return f"{_distance(drift)}, but not significantly ({_evidence(drift)}): it doesn't count as drift."


def _distance(drift: Drift) -> str:
    return (
        f"The distribution of {drift.feature} differs from the training window by {drift.value:.3f} "
        f"({drift.distance.value}), above the limit of {drift.limit:.3f}"
    )


def _evidence(drift: Drift) -> str:
    sizes = f"{drift.samples or 0:,} samples against {drift.window_samples or 0:,}"
    return f"p {format_p(drift.p_value)} with {sizes}"


def format_p(p_value: float | None) -> str:
    """``p_value`` after the word p: ``= 0.031``, ``< 0.0001``."""
    if p_value is None:
        return "unknown"
    return "< 0.0001" if p_value < 0.0001 else f"= {p_value:.2g}"


def _told_failures(counts: Counts, metric: Metric) -> list[str]:
    if not counts.failed:
        return []
    lowest = ""
    if metric.lowest is not None:
        lowest = f"; {metric.called} would be {_percent(metric.lowest)} were each one a mistake"
    return [f"{counts.failed:,} of {counts.counted:,} predictions failed and are not in the {metric.called}{lowest}."]


def _told_unseen(counts: Counts) -> list[str]:
    if not counts.unseen:
        return []
    return [f"{counts.unseen:,} samples have a label that the release was not trained on; each counts as a mistake."]


def _left_out_reason(counts: Counts) -> list[str]:
    why = {
        "copies of other samples of the batch": counts.copies,
        "of content that the release was trained on": counts.trained,
        "copies of each other with different labels or masks": counts.contradicted,
    }
    return [
        f"{count:,} of {counts.samples:,} samples ({_percent(counts.share(count))}) are {what}: they are left out."
        for what, count in why.items()
        if count
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def _round_percent(share: float) -> str:
    return f"{100 * share:.6g}%"
