"""Whatever goes wrong on the way: one job at a time, and a message that tells what to do."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from respan.vertex import batch_prediction
from respan.vertex.place import place_of

from ml.settings import load_settings
from tests.gcp.fault_cases import LASTING, name_of
from tests.gcp.faults import Fault
from tests.gcp.predict_waiting import PASSING, deferred, finish, held, impatient, trigger_of
from tests.gcp.predicting import CREATE, GET, LIST, Stage, prepared, revived, stage
from tests.gcp.service import Refusal
from tests.gcp.services.scripts import out_of_quota, preempted
from tests.gcp.triggering import fired

__all__ = ["impatient", "prepared", "stage"]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("call", [LIST, CREATE])
@pytest.mark.parametrize("fault", PASSING, ids=name_of)
def test_a_fault_that_passes_before_or_at_the_submission_leaves_one_job(stage: Stage, call: str, fault: Fault) -> None:
    task = held(stage)
    stage.cloud.faults.add(call, fault)
    deferred(task)
    assert len(stage.jobs(task)) == 1
    finish(stage, task)


@pytest.mark.parametrize("call", [LIST, CREATE])
@pytest.mark.parametrize(("fault", "remedy"), LASTING, ids=name_of)
def test_a_fault_that_lasts_fails_the_task_at_once_with_its_remedy(
    stage: Stage, call: str, fault: Fault, remedy: str
) -> None:
    task = held(stage)
    stage.cloud.faults.add(call, fault)
    with pytest.raises(AirflowFailException, match=f"predict batch .* with version 1 of {task.pipeline}: .*{remedy}"):
        task.operator().execute(task.context)
    assert stage.jobs(task) == []
    task.begin()  # mended and cleared
    finish(stage, task)


def test_an_answer_that_is_lost_while_the_listing_fails_too_is_made_up_for_by_the_retry(stage: Stage) -> None:
    task = held(stage)
    stage.cloud.faults.add(CREATE, Fault.DROPPED)
    stage.cloud.faults.add(LIST, Fault.UNAVAILABLE, after=1)
    with pytest.raises(AirflowException, match="a retry goes on from here") as lost:
        task.operator().execute(task.context)
    assert not isinstance(lost.value, AirflowFailException)
    assert len(stage.jobs(task)) == 1
    task.begin()
    assert len(stage.jobs(task)) == 1
    finish(stage, task)


@pytest.mark.parametrize("fault", PASSING, ids=name_of)
def test_the_trigger_looks_through_faults_that_pass(stage: Stage, fault: Fault) -> None:
    task = held(stage)
    waiting = task.begin()
    stage.cloud.faults.add(GET, fault, times=2)

    async def watch() -> Any:
        events = revived(waiting).run()
        event = asyncio.ensure_future(anext(events))
        await asyncio.to_thread(stage.cloud.calls.wait_for, GET, len(stage.cloud.calls.of(GET)) + 3)
        assert not event.done()
        stage.serving.batch.script.fail(f"Start respan-{task.pipeline.replace('_', '-')}-*", preempted())
        stage.serving.batch.script.release()
        return (await event).payload

    assert asyncio.run(watch()) == {"job": stage.jobs(task)[0].name}
    assert stage.states(task) == ["FAILED"]


@pytest.mark.parametrize(("fault", "remedy"), LASTING, ids=name_of)
def test_a_fault_that_lasts_ends_the_waiting_and_the_task_tells_it(stage: Stage, fault: Fault, remedy: str) -> None:
    task = held(stage)
    waiting = task.begin()
    stage.cloud.faults.add(GET, fault, times=2)
    event = fired(revived(waiting))
    with pytest.raises(AirflowFailException, match=f"can't look at batch prediction job .*{remedy}"):
        task.resume(waiting, event)
    assert len(stage.jobs(task)) == 1
    assert task.begin().kwargs == {**(waiting.kwargs or {}), "own": False}  # cleared: it goes on with the same job
    finish(stage, task)


def test_the_triggerers_loop_is_free_while_the_service_is_slow(stage: Stage) -> None:
    task = held(stage)
    waiting = task.begin()
    stage.cloud.faults.add(GET, Fault.SLOW(0.5))
    turns = 0

    async def watch() -> None:
        nonlocal turns
        event = asyncio.ensure_future(anext(revived(waiting).run()))
        before = len(stage.cloud.calls.of(GET))
        answered = asyncio.ensure_future(asyncio.to_thread(stage.cloud.calls.wait_for, GET, before + 1))
        while not answered.done():
            turns += 1
            await asyncio.sleep(0.001)
        event.cancel()

    asyncio.run(watch())
    assert turns > 20
    finish(stage, task)


FAILURES = [
    (preempted(), AirflowException, "a retry goes on from here"),
    (out_of_quota("custom_model_serving_cpus"), AirflowException, "ask for more quota"),
    (Refusal(grpc.StatusCode.INVALID_ARGUMENT, "no such machine"), AirflowFailException, "mend what it names"),
    (Refusal(grpc.StatusCode.FAILED_PRECONDITION, "Model server exited"), AirflowFailException, "then clear this task"),
]


@pytest.mark.parametrize(("refusal", "kind", "remedy"), FAILURES, ids=lambda one: getattr(one, "message", "")[:20])
def test_a_failed_job_is_told_with_its_error_and_its_page_and_a_next_try_submits_another_one(
    stage: Stage, refusal: Refusal, kind: type[Exception], remedy: str
) -> None:
    task = stage.task()
    script = stage.serving.batch.script
    script.fail(f"Run respan-{task.pipeline.replace('_', '-')}-*", refusal)
    with pytest.raises(AirflowException) as failed:
        task.attempt()
    assert type(failed.value) is kind
    (job,) = stage.jobs(task)
    for part in (refusal.message, remedy, f"/batch-predictions/{job.name.rpartition('/')[2]}?project="):
        assert part in str(failed.value)
    script.hold()
    task.begin()
    assert len(stage.jobs(task)) == 2
    finish(stage, task)


def test_a_job_that_a_person_cancelled_fails_the_task_and_is_submitted_again_when_it_is_cleared(stage: Stage) -> None:
    task = held(stage)
    waiting = task.begin()
    batch_prediction.BatchPredictionJobs(place_of(load_settings(task.pipeline))).cancel(stage.jobs(task)[0].name)
    event = fired(revived(waiting))
    with pytest.raises(AirflowFailException, match="the job was cancelled: clear this task to submit another one"):
        task.resume(waiting, event)
    task.begin()
    assert len(stage.jobs(task)) == 2
    finish(stage, task)


def test_without_its_memory_a_retry_finds_the_job_by_its_labels(stage: Stage) -> None:
    task = held(stage)
    task.begin()
    task.store.values.clear()
    task.begin()
    assert len(stage.jobs(task)) == 1
    finish(stage, task)


def test_a_job_of_the_same_labels_that_predicts_into_another_folder_is_not_taken(stage: Stage) -> None:
    """As of another deployment in the same project."""
    task = held(stage)
    stage.cloud.calls.clear()
    task.begin()
    (submitted,) = stage.cloud.calls.of(CREATE)
    finish(stage, task)
    foreign = submitted.request.batch_prediction_job
    foreign.output_config.gcs_destination.output_uri_prefix += "0"
    created = stage.client().create_batch_prediction_job(parent=submitted.request.parent, batch_prediction_job=foreign)
    task.begin()
    assert len(stage.jobs(task)) == 3
    stage.client().cancel_batch_prediction_job(name=created.name)
    fired(trigger_of(task, created.name))
    finish(stage, task)
