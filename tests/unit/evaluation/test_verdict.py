"""The rules of the verdict, their boundaries and their precedence."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.evaluation.records import Counts, Drift, DriftDistance, Interval, Metric
from ml.evaluation.verdict import Decision, Rules, decide
from ml.kinds.classification.accuracy import accuracy
from ml.records import Verdict

RULES = Rules(threshold=0.9, confidence=0.95, min_evaluated=100, max_failed_share=0.2)


def counted(correct: int, evaluated: int, *, failed: int = 0, unseen: int = 0) -> Counts:
    return Counts(
        samples=evaluated + failed, evaluated=evaluated, correct=correct, failed=failed, unseen=unseen, refused=0
    )


def measured(counts: Counts, rules: Rules) -> Metric:
    return accuracy(counts.correct or 0, counts.evaluated, counts.samples, rules)


def drifted(value: float, limit: float | None = 0.3, feature: str = "labels") -> Drift:
    return Drift(feature=feature, distance=DriftDistance.L_INFINITY, value=value, limit=limit)


def judge(counts: Counts, *drift: Drift, rules: Rules = RULES) -> Decision:
    return decide(counts, measured(counts, rules), drift, rules)


def test_an_accuracy_above_the_threshold_passes() -> None:
    assert judge(counted(95, 100)).verdict is Verdict.PASS


def test_an_accuracy_equal_to_the_threshold_passes() -> None:
    assert judge(counted(90, 100)).verdict is Verdict.PASS


def test_one_mistake_more_is_degraded() -> None:
    decision = judge(counted(89, 100))
    assert decision.verdict is Verdict.DEGRADED
    assert "89.00%" in decision.reasons[0]
    assert "below the threshold of 90%" in decision.reasons[0]


def test_the_point_estimate_decides_and_the_reason_says_that_the_interval_holds_the_threshold() -> None:
    assert "within the interval" in judge(counted(89, 100)).reasons[0]
    assert "within the interval" in judge(counted(91, 100)).reasons[0]
    assert "within the interval" not in judge(counted(50, 100)).reasons[0]
    assert "within the interval" not in judge(counted(999, 1000)).reasons[0]


@pytest.mark.parametrize("correct", [0, 50, 99])
def test_too_few_predictions_are_insufficient_whatever_their_accuracy(correct: int) -> None:
    decision = judge(counted(correct, 99))
    assert decision.verdict is Verdict.INSUFFICIENT_DATA
    assert "99 of 99" in decision.reasons[0]


def test_exactly_the_minimum_is_enough() -> None:
    assert judge(counted(100, 100)).verdict is Verdict.PASS


def test_failed_predictions_do_not_count_towards_the_minimum() -> None:
    assert judge(counted(99, 99, failed=20)).verdict is Verdict.INSUFFICIENT_DATA


@pytest.mark.parametrize("failed", [0, 500])
def test_nothing_evaluated_is_insufficient_even_where_no_minimum_is_asked(failed: int) -> None:
    decision = judge(counted(0, 0, failed=failed), rules=replace(RULES, min_evaluated=0, max_failed_share=1))
    assert decision.verdict is Verdict.INSUFFICIENT_DATA


def test_nothing_evaluated_has_no_accuracy() -> None:
    metric = measured(counted(0, 0), RULES)
    assert metric.value is None
    assert metric.lowest is None
    assert not metric.is_significant


def test_a_share_of_failures_at_the_limit_is_accepted_and_told() -> None:
    decision = judge(counted(796, 800, failed=200))
    assert decision.verdict is Verdict.PASS
    assert any("200 of 1,000 predictions failed" in reason and "79.60%" in reason for reason in decision.reasons)


@pytest.mark.parametrize(("share", "count"), [(0.29, 29), (0.57, 57), (0.58, 58), (0.07, 7), (0.14, 14)])
def test_a_share_of_exactly_the_limit_is_within_it(share: float, count: int) -> None:
    """As a product it isn't for these numbers: 0.29 × 100 is less than 29."""
    rules = replace(RULES, max_failed_share=share, max_known_share=share, min_evaluated=1)
    failed = counted(100 - count, 100 - count, failed=count)
    assert judge(failed, rules=rules).verdict is Verdict.PASS
    assert judge(left_out(100 - count, copies=count), rules=rules).verdict is Verdict.PASS


def test_a_larger_share_of_failures_is_insufficient() -> None:
    decision = judge(counted(799, 799, failed=201))
    assert decision.verdict is Verdict.INSUFFICIENT_DATA
    assert "failed" in decision.reasons[0]


def left_out(evaluated: int, *, copies: int = 0, trained: int = 0) -> Counts:
    return Counts(
        samples=evaluated + copies + trained,
        evaluated=evaluated,
        correct=evaluated,
        failed=0,
        refused=0,
        copies=copies,
        trained=trained,
    )


def test_samples_that_prove_nothing_are_told_up_to_their_limit() -> None:
    decision = judge(left_out(200, copies=150, trained=50))
    assert decision.verdict is Verdict.PASS
    assert "150 of 400 samples (37.50%) are copies" in decision.reasons[1]
    assert "50 of 400 samples (12.50%) are of content that the release was trained on" in decision.reasons[2]


def test_a_larger_share_that_proves_nothing_is_insufficient() -> None:
    decision = judge(left_out(200, copies=150, trained=51))
    assert decision.verdict is Verdict.INSUFFICIENT_DATA
    assert "201 of 401 samples prove nothing" in decision.reasons[0]


def test_copies_do_not_count_towards_the_minimum() -> None:
    assert judge(left_out(99, copies=50)).verdict is Verdict.INSUFFICIENT_DATA


def test_drift_above_its_limit_is_drifted_and_named() -> None:
    decision = judge(counted(95, 100), drifted(0.1), drifted(0.31, feature="predictions"))
    assert decision.verdict is Verdict.DRIFTED
    assert "predictions" in decision.reasons[0]
    assert not any("labels" in reason for reason in decision.reasons)


def test_drift_equal_to_its_limit_passes() -> None:
    assert judge(counted(95, 100), drifted(0.3)).verdict is Verdict.PASS
    assert judge(counted(95, 100), drifted(0.8 - 0.5)).verdict is Verdict.PASS


def test_drift_without_a_limit_is_not_judged() -> None:
    assert judge(counted(95, 100), drifted(1.0, limit=None)).verdict is Verdict.PASS


def test_drift_that_is_not_significant_passes_and_is_told() -> None:
    by_chance = drifted(0.4).model_copy(
        update={"p_value": 0.031, "significant": False, "samples": 60, "window_samples": 80}
    )
    decision = judge(counted(95, 100), by_chance)
    assert decision.verdict is Verdict.PASS
    assert any("not significantly (p = 0.031 with 60 samples against 80)" in reason for reason in decision.reasons)


def test_significant_drift_names_its_evidence() -> None:
    found = drifted(0.4).model_copy(
        update={"p_value": 0.00001, "significant": True, "samples": 200, "window_samples": 480}
    )
    decision = judge(counted(95, 100), found)
    assert decision.verdict is Verdict.DRIFTED
    assert "significantly (p < 0.0001 with 200 samples against 480)" in decision.reasons[0]


def test_drift_that_can_not_be_tested_passes_and_is_told() -> None:
    decision = judge(counted(95, 100), drifted(0.4).model_copy(update={"significant": False}))
    assert decision.verdict is Verdict.PASS
    assert any("can't be computed" in reason for reason in decision.reasons)


def test_in_a_report_of_an_earlier_version_the_limit_decided_alone() -> None:
    assert Drift.model_validate({"feature": "labels", "distance": "L-infinity", "value": 0.4, "limit": 0.3}).exceeded


def test_degraded_comes_before_drifted_and_both_are_told() -> None:
    decision = judge(counted(50, 100), drifted(0.9))
    assert decision.verdict is Verdict.DEGRADED
    assert any("labels" in reason and "0.900" in reason for reason in decision.reasons[1:])


def test_insufficient_comes_before_all() -> None:
    assert judge(counted(1, 50), drifted(0.9)).verdict is Verdict.INSUFFICIENT_DATA


def test_a_reason_calls_the_metric_as_the_kind_does() -> None:
    metric = Metric(
        name="mean_iou",
        called="mean IoU",
        value=0.712,
        interval=Interval(low=0.68, high=0.74),
        confidence=0.95,
        threshold=0.8,
        lowest=0.6,
    )
    counts = Counts(samples=120, evaluated=110, failed=10, refused=0)
    decision = decide(counts, metric, [], RULES)
    assert decision.reasons[0].startswith("Mean IoU is 71.20% (95% interval 68.00% to 74.00%), below the threshold of")
    assert "not in the mean IoU; mean IoU would be 60.00% were each one a mistake" in decision.reasons[1]


def test_labels_never_seen_are_told() -> None:
    assert any("7 samples have a label" in reason for reason in judge(counted(93, 100, unseen=7)).reasons)


@st.composite
def any_counts(draw: st.DrawFn) -> Counts:
    evaluated = draw(st.integers(0, 5000))
    correct = draw(st.integers(0, evaluated))
    return counted(
        correct, evaluated, failed=draw(st.integers(0, 5000)), unseen=draw(st.integers(0, evaluated - correct))
    )


drifts = st.lists(st.builds(drifted, st.floats(0, 1), st.none() | st.floats(0, 1)), max_size=4)
rules = st.builds(Rules, st.floats(0, 1), st.floats(0.5, 0.999), st.integers(1, 1000), st.floats(0, 1))


@settings(deadline=None)
@given(any_counts(), drifts, rules)
def test_every_outcome_has_one_verdict_with_reasons_of_one_line(
    counts: Counts, drift: list[Drift], rule: Rules
) -> None:
    decision = judge(counts, *drift, rules=rule)
    assert decision.reasons
    assert all(reason and "\n" not in reason for reason in decision.reasons)


@settings(deadline=None)
@given(any_counts(), drifts, rules)
def test_a_pass_is_good_enough_in_every_respect(counts: Counts, drift: list[Drift], rule: Rules) -> None:
    passes = judge(counts, *drift, rules=rule).verdict is Verdict.PASS
    assert passes == (
        counts.evaluated >= rule.min_evaluated
        and counts.failed <= rule.max_failed_share * counts.samples
        and (counts.correct or 0) / counts.evaluated >= rule.threshold
        and not any(one.exceeded for one in drift)
    )


@settings(deadline=None)
@given(any_counts(), rules)
def test_the_interval_contains_the_accuracy(counts: Counts, rule: Rules) -> None:
    metric = measured(counts, rule)
    if metric.value is not None and metric.lowest is not None:
        assert metric.value in metric.interval
        assert metric.lowest <= metric.value
