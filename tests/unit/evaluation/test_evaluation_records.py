"""The evaluation's document refuses what can't be."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ml.evaluation.records import Counts, Interval


def test_counts_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValidationError, match="do not add up"):
        Counts(samples=10, evaluated=8, correct=8, failed=1, unseen=0, refused=0)


def test_labels_never_seen_cannot_be_right() -> None:
    with pytest.raises(ValidationError, match="do not add up"):
        Counts(samples=10, evaluated=10, correct=9, failed=0, unseen=2, refused=0)


def test_an_interval_has_its_ends_in_order() -> None:
    with pytest.raises(ValidationError, match="low end"):
        Interval(low=0.9, high=0.1)


def test_an_interval_contains_its_ends() -> None:
    assert 0.1 in Interval(low=0.1, high=0.9)
    assert 0.9 in Interval(low=0.1, high=0.9)
    assert 0.95 not in Interval(low=0.1, high=0.9)
