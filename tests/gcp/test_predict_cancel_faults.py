"""A prediction that is cleared, killed or cancelled, whatever goes wrong with it: no job is left running unnoticed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from respan.vertex import batch_prediction
from respan.vertex.place import place_of

from ml.settings import load_settings
from tests.gcp.fault_cases import LASTING, name_of
from tests.gcp.faults import Fault
from tests.gcp.predict_waiting import PASSING, finish, held, impatient, trigger_of
from tests.gcp.predicting import CANCEL, CREATE, LIST, Stage, prepared, revived, stage
from tests.gcp.triggering import fired

__all__ = ["impatient", "prepared", "stage"]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("fault", [None, *PASSING], ids=name_of)
def test_clearing_a_task_that_waits_cancels_its_job(stage: Stage, fault: Fault | None) -> None:
    task = held(stage)
    waiting = task.begin()
    if fault is not None:
        stage.cloud.faults.add(CANCEL, fault)
    asyncio.run(revived(waiting).on_kill())
    fired(revived(waiting))
    assert stage.states(task) == ["CANCELLED"]


@pytest.mark.parametrize(("fault", "remedy"), LASTING, ids=name_of)
def test_a_trigger_that_may_not_cancel_tells_where_a_person_ends_the_job(
    stage: Stage, capsys: pytest.CaptureFixture[str], fault: Fault, remedy: str
) -> None:
    task = held(stage)
    waiting = task.begin()
    stage.cloud.faults.add(CANCEL, fault)
    asyncio.run(revived(waiting).on_kill())
    told, (job,) = capsys.readouterr().out, stage.jobs(task)
    for part in (
        "can't cancel",
        remedy,
        f"cancel it at {batch_prediction.job_page(job.name, place_of(load_settings(task.pipeline)))}",
    ):
        assert part in told
    finish(stage, task)


@pytest.mark.parametrize("call", [LIST, CANCEL])
@pytest.mark.parametrize(("fault", "remedy"), LASTING, ids=name_of)
def test_a_killed_task_that_may_not_cancel_tells_where_a_person_ends_the_job(
    stage: Stage, caplog: pytest.LogCaptureFixture, call: str, fault: Fault, remedy: str
) -> None:
    task = held(stage)
    operator = task.operator()
    with pytest.raises(TaskDeferred):
        operator.execute(task.context)
    stage.cloud.faults.add(call, fault)
    operator.on_kill()
    for part in ("can't ", remedy, "cancel it at https://console.cloud.google.com/vertex-ai/batch-predictions"):
        assert part in caplog.text
    finish(stage, task)


@pytest.mark.parametrize("call", [LIST, CANCEL])
@pytest.mark.parametrize("fault", PASSING, ids=name_of)
def test_killing_a_task_before_it_waits_cancels_its_job(stage: Stage, call: str, fault: Fault) -> None:
    task = held(stage)
    operator = task.operator()
    with pytest.raises(TaskDeferred):
        operator.execute(task.context)
    stage.cloud.faults.add(call, fault)
    operator.on_kill()
    fired(trigger_of(task, stage.jobs(task)[0].name))
    assert stage.states(task) == ["CANCELLED"]


def test_a_try_that_found_the_job_just_before_it_was_cancelled_submits_another_one(stage: Stage) -> None:
    task = held(stage)
    first = task.begin()
    second = task.begin()  # the task was cleared, and its next try is faster than the triggerer
    asyncio.run(revived(first).on_kill())
    event = fired(revived(second))
    with pytest.raises(TaskDeferred):
        task.resume(second, event)
    assert sorted(stage.states(task))[0] == "CANCELLED"
    assert len(stage.jobs(task)) == 2
    finish(stage, task)


@pytest.mark.parametrize("lost", [False, True])
def test_killing_the_task_while_it_submits_leaves_no_job(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    task = held(stage)
    operator = task.operator()
    real = batch_prediction.BatchPredictionJobs.create

    def killed(jobs: Any, wanted: Any) -> Any:
        real(jobs, wanted)
        operator.on_kill()
        raise KeyboardInterrupt

    monkeypatch.setattr(batch_prediction.BatchPredictionJobs, "create", killed)
    if lost:
        stage.cloud.faults.add(CREATE, Fault.DROPPED)
    with pytest.raises(KeyboardInterrupt):
        operator.execute(task.context)
    fired(trigger_of(task, stage.jobs(task)[0].name))
    assert stage.states(task) == ["CANCELLED"]
