"""Every fault at every call of a training on Vertex AI: the right end, one job, and a message that helps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from respan.failures import told_to_airflow
from respan.operators.training import EndRunOperator
from respan.vertex import pipeline_jobs, polling
from respan.vertex.mirroring import submitted
from respan.vertex.training_run import XCOM_KEY, VertexRun

from tests.gcp.faults import Fault
from tests.gcp.training_runs import CANCEL, CREATE, GET, PIPELINE, RUN_ID, Runs, Task, event_of

pytest_plugins = ["tests.gcp.training_fixtures"]

#: Where a retry goes on, and what the message says of it.
PASSING = {
    "UNAVAILABLE": (Fault.UNAVAILABLE, "a retry goes on from here"),
    "RATE_LIMIT": (Fault.RATE_LIMIT, "the rate limited: wait"),
    "QUOTA": (Fault.QUOTA, "ask for more quota"),
    "DEADLINE": (Fault.DEADLINE, "a retry goes on from here"),
    "DROPPED": (Fault.DROPPED, "a retry goes on from here"),
}
LASTING = {
    "PERMISSION_DENIED": (Fault.PERMISSION_DENIED, "docs/google-cloud.md lists them"),
    "INVALID_ARGUMENT": (Fault.INVALID_ARGUMENT, "under vertex"),
}

passing = pytest.mark.parametrize(("fault", "remedy"), PASSING.values(), ids=PASSING)
lasting = pytest.mark.parametrize(("fault", "remedy"), LASTING.values(), ids=LASTING)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is not answered is given up soon."""
    for module in (pipeline_jobs, polling):
        monkeypatch.setattr(module, "CALL_SECONDS", 1.0)


class _Starter:
    """The last step of ``start_run``, whose other steps are commands."""

    def execute(self, context: Any) -> str:
        with told_to_airflow():
            run = VertexRun.of(PIPELINE, RUN_ID)
            context["ti"].xcom_push(XCOM_KEY, run.to_json_dict())
            return submitted(context, run)


def start_run(runs: Runs) -> Task:
    return runs.task("start_run", _Starter)


def end_run(runs: Runs) -> Task:
    return runs.task("end_run", lambda: EndRunOperator(task_id="end_run"))


def passes(do: Callable[[], Any], remedy: str) -> None:
    """``do`` fails in a way that Airflow tries again."""
    with pytest.raises(AirflowException, match=remedy) as raised:
        do()
    assert not isinstance(raised.value, AirflowFailException)


@passing
@pytest.mark.parametrize("call", [CREATE, GET])
def test_start_run_submits_one_job_through_a_fault_that_passes(
    runs: Runs, call: str, fault: Fault, remedy: str
) -> None:
    runs.cloud.faults.add(call, fault)
    task = start_run(runs)
    passes(task.result, remedy)
    job = task.result()
    assert task.result() == job
    assert (runs.service.created, runs.states()) == (1, ["succeeded"])


@lasting
@pytest.mark.parametrize("call", [CREATE, GET])
def test_start_run_fails_at_once_where_a_person_has_to_do_something(
    runs: Runs, call: str, fault: Fault, remedy: str
) -> None:
    runs.cloud.faults.add(call, fault)
    task = start_run(runs)
    with pytest.raises(AirflowFailException, match=remedy):
        task.result()
    task.clear()
    task.result()
    assert runs.service.created == 1


def test_a_slow_answer_is_waited_for(runs: Runs) -> None:
    for call in (CREATE, GET):
        runs.cloud.faults.add(call, Fault.SLOW(0.3))
    start_run(runs).result()
    assert runs.component("Trainer").result()["state"] == "succeeded"
    assert runs.service.created == 1


def test_a_missing_permission_is_named(runs: Runs) -> None:
    runs.cloud.permissions.deny(runs.cloud.airflow_principal, "aiplatform.pipelineJobs.create")
    with pytest.raises(AirflowFailException, match=r"aiplatform\.pipelineJobs\.create"):
        start_run(runs).result()


@passing
def test_a_component_s_wait_survives_what_passes_and_tells_it_once(
    runs: Runs, capsys: pytest.CaptureFixture[str], fault: Fault, remedy: str
) -> None:
    runs.script.slow("Trainer", 4)
    runs.start()
    waiting = runs.component("Trainer").begin()
    runs.cloud.faults.add(GET, fault, times=3, after=1)
    capsys.readouterr()
    assert asyncio.run(event_of(waiting))["state"] == "succeeded"
    assert runs.cloud.faults.pending == []
    assert capsys.readouterr().out.count(remedy) == 1
    assert (runs.service.created, runs.calls(CANCEL)) == (1, 0)


@lasting
def test_a_component_s_wait_ends_where_looking_is_refused_and_clearing_goes_on_waiting(
    runs: Runs, fault: Fault, remedy: str
) -> None:
    runs.script.hold("Trainer")
    runs.start()
    task = runs.component("Trainer")
    waiting = task.begin()
    runs.cloud.faults.add(GET, fault)
    with pytest.raises(AirflowFailException, match=remedy):
        task.resume(waiting, asyncio.run(event_of(waiting)))
    task.clear()
    again = task.begin()
    runs.script.finish("Trainer")
    assert task.resume(again, asyncio.run(event_of(again)))["state"] == "succeeded"
    assert (runs.service.created, runs.calls(CANCEL)) == (1, 0)


def test_a_job_that_was_deleted_ends_the_wait(runs: Runs) -> None:
    runs.script.hold("Trainer")
    job = runs.start()
    task = runs.component("Trainer")
    waiting = task.begin()
    waiting.trigger.job = job + "0"
    with pytest.raises(AirflowFailException, match="it was deleted, or project or region are other ones"):
        task.resume(waiting, asyncio.run(event_of(waiting)))


@passing
def test_a_component_task_that_begins_meanwhile_is_tried_again(runs: Runs, fault: Fault, remedy: str) -> None:
    runs.start()
    runs.cloud.faults.add(GET, fault)
    task = runs.component("Trainer")
    passes(task.result, remedy)
    assert task.result()["state"] == "succeeded"


@passing
def test_a_next_attempt_is_submitted_once_through_what_passes(runs: Runs, fault: Fault, remedy: str) -> None:
    runs.service.fail("Trainer")
    runs.start()
    task = runs.component("Trainer")
    with pytest.raises(AirflowFailException):
        task.result()
    task.clear()
    runs.cloud.faults.add(CREATE, fault)
    passes(task.result, remedy)
    assert task.result()["state"] == "succeeded"
    assert runs.states() == ["failed", "succeeded"]


@passing
def test_a_killed_wait_cancels_the_job_through_what_passes(runs: Runs, fault: Fault, remedy: str) -> None:
    runs.script.hold("Trainer")
    runs.start()
    waiting = runs.component("Trainer").begin()
    runs.cloud.faults.add(CANCEL, fault)
    asyncio.run(waiting.trigger.on_kill())
    assert runs.states() == ["cancelled"]


def test_a_slow_cancellation_is_waited_for(runs: Runs) -> None:
    runs.script.hold("Trainer")
    runs.start()
    waiting = runs.component("Trainer").begin()
    runs.cloud.faults.add(CANCEL, Fault.SLOW(0.05))
    asyncio.run(waiting.trigger.on_kill())
    assert (runs.states(), runs.calls(CANCEL)) == (["cancelled"], 1)


@lasting
def test_a_cancellation_that_is_refused_is_told_in_the_log(
    runs: Runs, capsys: pytest.CaptureFixture[str], fault: Fault, remedy: str
) -> None:
    runs.script.hold("Trainer")
    runs.start()
    waiting = runs.component("Trainer").begin()
    runs.cloud.faults.add(CANCEL, fault)
    asyncio.run(waiting.trigger.on_kill())
    assert remedy in capsys.readouterr().out


@passing
@pytest.mark.parametrize("call", [GET, CANCEL])
def test_end_run_leaves_no_job_through_what_passes(runs: Runs, call: str, fault: Fault, remedy: str) -> None:
    runs.script.hold("Trainer")
    start_run(runs).result()
    runs.cloud.faults.add(call, fault)
    task = end_run(runs)
    passes(task.result, remedy)
    task.result()
    assert runs.states() == ["cancelled"]


@lasting
def test_end_run_tells_what_it_may_not_do(runs: Runs, fault: Fault, remedy: str) -> None:
    runs.script.hold("Trainer")
    runs.start()
    runs.cloud.faults.add(CANCEL, fault)
    with pytest.raises(AirflowFailException, match=remedy):
        end_run(runs).result()


def test_end_run_ends_the_job_of_a_start_that_never_knew_of_it(runs: Runs) -> None:
    runs.script.hold("Trainer")
    runs.cloud.faults.add(CREATE, Fault.DROPPED)
    passes(start_run(runs).result, "a retry goes on")
    assert end_run(runs).result() == [job.name for job in runs.service.jobs()]
    assert runs.states() == ["cancelled"]


def test_a_preempted_component_is_told_as_such(runs: Runs) -> None:
    runs.script.preempt("Trainer")
    runs.start()
    with pytest.raises(AirflowFailException, match=r"component Trainer failed: .* was preempted"):
        runs.component("Trainer").result()
    assert end_run(runs).result() == []
    assert runs.states() == ["failed"]
