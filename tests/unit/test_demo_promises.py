from __future__ import annotations

from dataclasses import replace

import pytest

from scripts.demo_stories import CLASSIFICATION, SEGMENTATION, story_of
from scripts.demo_summary import AuditCount, ScoredRelease, Summary, broken_promises
from scripts.demo_timeline import DemoError

KEPT = Summary(
    metric="accuracy",
    threshold=0.9,
    first_release=ScoredRelease(1, 0.97, 0.2),
    verdict="DEGRADED",
    second_release=ScoredRelease(2, 0.96, 0.93),
    verdict_after="PASS",
    spans=[1, 2],
    audit=AuditCount(100, 0, 0),
    seconds={"total": 200.0},
)


def test_a_demo_that_keeps_its_promises_has_no_complaint() -> None:
    assert broken_promises(KEPT, CLASSIFICATION, samples=100) == []


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        (replace(KEPT, metric="mean_iou"), "the metric is mean_iou, not accuracy"),
        (replace(KEPT, first_release=ScoredRelease(1, 0.949, 0.2)), "first release's accuracy is 0.949"),
        (replace(KEPT, first_release=ScoredRelease(1, 0.97, 0.9)), "new camera is 0.900, not below"),
        (replace(KEPT, verdict="DRIFTED"), "DRIFTED, not DEGRADED"),
        (replace(KEPT, second_release=ScoredRelease(1, 0.96, 0.93)), "no newer release"),
        (replace(KEPT, second_release=ScoredRelease(2, 0.949, 0.93)), "more than 0.02 below"),
        (replace(KEPT, second_release=ScoredRelease(2, 0.96, 0.899)), "new camera is 0.899, below"),
        (replace(KEPT, verdict_after="DEGRADED"), "DEGRADED, not PASS"),
        (replace(KEPT, spans=[1, 2, 3]), "[1, 2, 3], not [1, 2]"),
        (replace(KEPT, audit=AuditCount(99, 0, 0)), "99 samples are accounted for, 100 were collected"),
        (replace(KEPT, audit=AuditCount(100, 1, 0)), "1 samples are lost"),
        (replace(KEPT, audit=AuditCount(100, 0, 2)), "2 samples are in two places"),
    ],
)
def test_each_broken_promise_is_told(changed: Summary, complaint: str) -> None:
    [told] = broken_promises(changed, CLASSIFICATION, samples=100)
    assert complaint in told


def test_another_pipeline_has_promises_of_its_own_in_the_same_summary() -> None:
    summary = replace(
        KEPT,
        metric="mean_iou",
        threshold=0.7,
        first_release=ScoredRelease(1, 0.76, 0.3),
        second_release=ScoredRelease(2, 0.74, 0.71),
    )
    assert broken_promises(summary, SEGMENTATION, samples=100) == []
    document = summary.document()
    assert document["first_release"] == {"version": 1, "mean_iou": 0.76, "mean_iou_on_shifted": 0.3}
    assert document["audit"] == {"collected": 100, "lost": 0, "duplicated": 0}


def test_a_pipeline_without_a_story_is_told_those_that_have_one() -> None:
    with pytest.raises(DemoError, match=r"'flowers'; choose one of image_classification, semantic_segmentation\."):
        story_of("flowers")
