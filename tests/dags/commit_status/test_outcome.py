"""What the states of a run's tasks say of its revision."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from respan.commit_status import CommitState
from respan.commit_status.outcome import outcome

ORDER = ["detect", "clone", "decide_scope", "verify.lint", "verify.test", "ship.build_image", "train", "processed"]


def of(states: Mapping[str, str | None], *, scope: str = "", reason: str = "") -> tuple[CommitState, str]:
    return outcome(states, ORDER, done="processed", scope=scope, reason=reason)


def test_a_revision_that_went_all_the_way_succeeds() -> None:
    states = dict.fromkeys(ORDER, "success") | {"ship.build_image": "skipped"}
    assert of(states, scope="modules", reason="only model.py") == (CommitState.SUCCESS, "done: only model.py")
    assert of(states) == (CommitState.SUCCESS, "done")


def test_nothing_to_do_is_a_success_that_says_why() -> None:
    states = dict.fromkeys(ORDER, "skipped") | dict.fromkeys(
        ["detect", "clone", "decide_scope", "processed"], "success"
    )
    assert of(states, scope="none", reason="documentation only") == (
        CommitState.SUCCESS,
        "nothing to do: documentation only",
    )


def test_a_failure_names_the_first_task_that_failed() -> None:
    states = dict.fromkeys(ORDER, "success") | {
        "train": "failed",
        "verify.test": "failed",
        "processed": "upstream_failed",
    }
    assert of(states) == (CommitState.FAILURE, "failed at verify.test")


def test_a_task_that_decides_nothing_may_fail() -> None:
    states = {**dict.fromkeys(ORDER, "success"), "report_pending": "failed", "clean_up": "failed"}
    assert of(states)[0] is CommitState.SUCCESS


def test_one_part_of_a_mapped_task_is_enough_to_fail_it() -> None:
    states = dict.fromkeys(ORDER, "success")
    del states["verify.test"]
    assert of({**states, "verify.test_0": "success", "verify.test_11": "failed"})[1] == "failed at verify.test"
    assert of({**states, "verify.test_helper": "failed"})[0] is CommitState.SUCCESS


@pytest.mark.parametrize("last", ["skipped", "upstream_failed", None])
def test_a_run_that_was_stopped_is_neither_a_success_nor_the_revisions_fault(last: str | None) -> None:
    states = dict.fromkeys(ORDER, "success") | {"train": "skipped", "processed": last}
    assert of(states) == (CommitState.ERROR, "ended before processed: see the run")
    assert of({})[0] is CommitState.ERROR
