"""The sensor as a task of real runs: a real metadata database, real repositories, a real local storage."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from respan.sensors.git_revision import GitRevisionSensor

from ml.ci_cd.revisions import claim, claimed
from ml.home import pipeline_storage
from tests.dags.ci_cd.airflow_runs import make_database
from tests.dags.ci_cd.git_remote import GitRemote
from tests.dags.ci_cd.sensor_runs import SensorRuns
from tests.dags.ci_cd.watched import processed, settings_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("settings")]

TRIGGERS = "respan.triggers.git_revision"


@pytest.fixture(scope="module", autouse=True)
def database() -> None:
    make_database()


_NUMBERS = iter(range(1_000_000))


@pytest.fixture
def make_runs() -> Callable[..., SensorRuns]:
    """SensorRuns of a DAG of this test's own."""
    return lambda *, wait: SensorRuns(next(_NUMBERS), wait=wait)


@pytest.fixture
def runs(make_runs: Callable[..., SensorRuns]) -> SensorRuns:
    return make_runs(wait=False)


def holder_of(revision: str) -> str | None:
    held = claimed(pipeline_storage("watched"), revision)
    return held.run if held else None


def found(revision: str, previous: str | None = None, branch: str = "main") -> dict[str, Any]:
    return {"revision": revision, "previous": previous, "branch": branch}


def test_the_head_of_the_settings_branch_is_found_and_claimed_for_the_run(runs: SensorRuns, remote: GitRemote) -> None:
    remote.push()
    head = remote.push()
    assert runs.by_event("one").result == found(head)
    assert holder_of(head) == runs.holder("one")


def test_a_retry_finds_its_own_claim(runs: SensorRuns, remote: GitRemote) -> None:
    head = remote.push()
    runs.by_event("one")
    assert runs.again("one").result == found(head)


def test_what_was_processed_last_is_what_the_change_is_compared_with(runs: SensorRuns, remote: GitRemote) -> None:
    first = remote.push()
    processed(first)
    remote.push()
    head = remote.push()
    assert runs.by_event("one").result == found(head, previous=first)


def test_another_branch_has_a_history_of_its_own(runs: SensorRuns, remote: GitRemote) -> None:
    processed(remote.push())
    featured = remote.push("feature/x")
    assert runs.by_hand("one", branch="feature/x").result == found(featured, branch="feature/x")


def test_a_processed_head_is_skipped_unless_a_scope_is_asked_for(runs: SensorRuns, remote: GitRemote) -> None:
    head = remote.push()
    processed(head)
    skipped = runs.by_event("one")
    assert skipped.state == "skipped"
    assert f"{head}, the head of main, is processed already" in skipped.log
    assert holder_of(head) is None
    assert runs.by_hand("two", scope="whole").result == found(head, previous=head)


def test_a_revision_by_its_id_needs_no_look_at_the_remote(runs: SensorRuns, remote: GitRemote) -> None:
    revision = remote.push()
    remote.vanish()
    assert runs.by_hand("one", revision=revision).result == found(revision)


@pytest.mark.parametrize("holds", ["running", "queued", "success", "failed"])
def test_a_run_that_an_event_started_never_takes_a_revision_from_another(
    runs: SensorRuns, remote: GitRemote, holds: str
) -> None:
    head = remote.push()
    runs.by_event("one")
    runs.end("one", holds)
    skipped = runs.by_event("two")
    assert skipped.state == "skipped"
    assert f"belongs to run {runs.holder('one')}" in skipped.log
    assert ("clear its failed task, or push" in skipped.log) == (holds == "failed")
    assert holder_of(head) == runs.holder("one")


@pytest.mark.parametrize("ended", ["failed", None])
@pytest.mark.parametrize("by", ["revision", "scope", "nothing"])
def test_a_run_by_hand_takes_over_what_failed_or_is_gone(
    runs: SensorRuns, remote: GitRemote, ended: str | None, by: str
) -> None:
    head = remote.push()
    runs.by_event("one")
    runs.end("one", ended)
    given = {"revision": {"revision": head}, "scope": {"scope": "modules"}, "nothing": {}}[by]
    assert runs.by_hand("two", **given).result == found(head)
    assert holder_of(head) == runs.holder("two")
    assert runs.by_event("three").state == "skipped"


@pytest.mark.parametrize("scope", ["auto", "whole"])
@pytest.mark.parametrize("holds", ["running", "queued"])
def test_a_run_by_hand_skips_what_is_being_processed(
    runs: SensorRuns, remote: GitRemote, holds: str, scope: str
) -> None:
    head = remote.push()
    runs.by_event("one")
    runs.end("one", holds)
    skipped = runs.by_hand("two", revision=head, scope=scope)
    assert skipped.state == "skipped"
    assert f"which is {holds}: nothing to do here" in skipped.log


def test_what_another_run_has_processed_is_done_again_only_with_a_scope(runs: SensorRuns, remote: GitRemote) -> None:
    head = remote.push()
    runs.by_event("one")
    runs.end("one", "success")
    assert runs.by_hand("two", revision=head).state == "skipped"
    assert runs.by_hand("three", revision=head, scope="modules").result == found(head)
    assert holder_of(head) == runs.holder("three")


def test_a_run_of_the_same_name_in_another_dag_is_another_run(
    make_runs: Callable[..., SensorRuns], remote: GitRemote
) -> None:
    head = remote.push()
    one, other = make_runs(wait=False), make_runs(wait=False)
    assert one.by_hand("scheduled").result == found(head)
    assert other.by_hand("scheduled").state == "skipped"


def test_an_unreachable_remote_is_waited_for_in_the_triggerer(runs: SensorRuns, remote: GitRemote) -> None:
    head = remote.push()
    remote.vanish()
    waiting = runs.by_event("one")
    assert waiting.state == "deferred"
    assert waiting.trigger is not None
    assert waiting.trigger[0] == f"{TRIGGERS}.GitRemoteTrigger"
    back = threading.Timer(0.3, remote.return_)
    back.start()
    assert runs.through_the_triggerer("two").result == found(head)
    back.join()


def test_a_remote_that_stays_unreachable_fails_in_one_line(runs: SensorRuns, remote: GitRemote, settings: Path) -> None:
    remote.vanish()
    settings.write_text(settings_of(remote, unreachable_seconds=0.1))
    failed = runs.through_the_triggerer("one")
    assert failed.state == "failed"
    assert "\n" not in failed.error
    assert "given up after ci_cd.unreachable_seconds" in failed.error


def test_a_remote_that_only_the_triggerer_can_reach_is_given_up_as_well(remote: GitRemote) -> None:
    remote.vanish()
    sensor = GitRevisionSensor(task_id="detect", pipeline="watched", wait=False)
    with pytest.raises(AirflowFailException, match="given up"):
        sensor.execute_complete({}, {"until": time.time() - 1})
    with pytest.raises(TaskDeferred):
        sensor.execute_complete({}, {"until": time.time() + 60})


@pytest.mark.parametrize("pushed", ["nothing", "another branch"])
def test_an_empty_repository_and_a_missing_branch_fail_at_once(
    runs: SensorRuns, remote: GitRemote, pushed: str
) -> None:
    if pushed != "nothing":
        remote.push("elsewhere")
    failed = runs.by_event("one")
    assert failed.state == "failed"
    assert "main" in failed.error
    assert "\n" not in failed.error


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"revision": "--upload-pack=touch"}, "is no revision"),
        ({"revision": "main"}, "is no revision"),
        ({"branch": "-x"}, "can't name a branch"),
        ({"branch": "a b"}, "can't name a branch"),
        ({"scope": "all"}, "is no scope: give one of auto, modules, whole"),
    ],
)
def test_names_from_outside_are_checked(runs: SensorRuns, params: dict[str, str], message: str) -> None:
    failed = runs.by_hand("one", **params)
    assert failed.state == "failed"
    assert message in failed.error


def test_a_pipeline_without_a_repository_is_told_which_key_to_set(runs: SensorRuns, settings: Path) -> None:
    settings.write_text("kind: image_classification\n")
    assert "set ci_cd.remote" in runs.by_event("one").error


def test_who_waits_is_deferred_until_there_is_a_revision_that_nobody_has(
    make_runs: Callable[..., SensorRuns], remote: GitRemote
) -> None:
    runs = make_runs(wait=True)
    processed(remote.push())
    assert runs.by_hand("one").trigger == (f"{TRIGGERS}.GitRevisionTrigger", {"pipeline": "watched", "branch": None})
    claim(pipeline_storage("watched"), remote.push(), run="other.dag/another")
    assert runs.by_hand("two", scope="whole").state == "deferred"
    pushing = threading.Timer(0.3, remote.push)
    pushing.start()
    ended = runs.through_the_triggerer("three")
    pushing.join()
    assert ended.state == "success"
    assert holder_of(ended.result["revision"]) == runs.holder("three")


def test_who_waits_waits_through_an_outage(make_runs: Callable[..., SensorRuns], remote: GitRemote) -> None:
    remote.vanish()
    waiting = make_runs(wait=True).by_hand("one")
    assert waiting.trigger is not None
    assert waiting.trigger[0] == f"{TRIGGERS}.GitRevisionTrigger"
