"""The evaluation's document refuses what can't be."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ml.evaluation.records import (
    Counts,
    EvaluationReport,
    Interval,
    Metric,
    Mistake,
    PoorMask,
    WorstCase,
)
from ml.records import Verdict, now


def test_counts_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValidationError, match="do not add up"):
        Counts(samples=10, evaluated=8, correct=8, failed=1, unseen=0, refused=0)


def test_labels_never_seen_cannot_be_right() -> None:
    with pytest.raises(ValidationError, match="do not add up"):
        Counts(samples=10, evaluated=10, correct=9, failed=0, unseen=2, refused=0)


def report(*worst: WorstCase) -> EvaluationReport:
    interval = Interval(low=0, high=1)
    return EvaluationReport(
        pipeline="p",
        batch="b",
        version=1,
        window=[1],
        created=now(),
        inputs="0",
        verdict=Verdict.PASS,
        reasons=["good"],
        metric=Metric(name="accuracy", called="accuracy", interval=interval, confidence=0.95, threshold=0.9),
        further={},
        counts=Counts(samples=0, evaluated=0, failed=0, refused=0),
        unit="samples",
        classes=[],
        confusion={},
        drift=[],
        failures=[],
        worst=list(worst),
    )


def test_each_kind_of_worst_case_reads_back_as_what_it_is() -> None:
    written = report(
        Mistake(object="a/1.png", generation="1", label="a", predicted="b", probability=0.9),
        PoorMask(object="images/1.png", generation="2", mean_iou=0.2),
        WorstCase(object="1", generation="3"),
    )
    read = EvaluationReport.from_json(written.to_json())
    assert read == written
    assert [type(one) for one in read.worst] == [Mistake, PoorMask, WorstCase]


def test_where_a_prediction_is_more_or_less_right_none_is_counted_as_right() -> None:
    assert Counts(samples=3, evaluated=2, failed=1, refused=0).correct is None


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_further_metric_is_from_0_to_1(value: float) -> None:
    with pytest.raises(ValidationError, match="further"):
        EvaluationReport.model_validate({**report().model_dump(), "further": {"pixel_accuracy": value}})


def test_an_interval_has_its_ends_in_order() -> None:
    with pytest.raises(ValidationError, match="low end"):
        Interval(low=0.9, high=0.1)


def test_an_interval_contains_its_ends() -> None:
    assert 0.1 in Interval(low=0.1, high=0.9)
    assert 0.9 in Interval(low=0.1, high=0.9)
    assert 0.95 not in Interval(low=0.1, high=0.9)
