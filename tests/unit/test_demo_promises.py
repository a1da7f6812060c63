from __future__ import annotations

from dataclasses import replace

import pytest

from scripts.demo_summary import AuditCount, ScoredRelease, Summary, broken_promises

KEPT = Summary(
    first_release=ScoredRelease(1, 0.97, 0.2),
    verdict="DEGRADED",
    second_release=ScoredRelease(2, 0.96, 0.93),
    verdict_after="PASS",
    spans=[1, 2],
    audit=AuditCount(100, 0, 0),
    seconds={"total": 200.0},
)


def test_a_demo_that_keeps_its_promises_has_no_complaint() -> None:
    assert broken_promises(KEPT, images=100) == []


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
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
    [told] = broken_promises(changed, images=100)
    assert complaint in told
