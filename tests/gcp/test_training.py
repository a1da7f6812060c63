"""Training on Vertex AI as Airflow's tasks do it: each component mirrored, one job, none left behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from google.protobuf.json_format import MessageToDict
from respan.vertex.training_run import VertexRun

from tests.gcp.services.spec_samples import TRAINING, pipeline_spec
from tests.gcp.training_runs import CANCEL, CREATE, GET, PIPELINE, RUN, Runs, event_of

pytest_plugins = ["tests.gcp.training_fixtures"]


def test_the_job_that_is_submitted_field_by_field(runs: Runs) -> None:
    runs.start()
    (call,) = runs.cloud.calls.of(CREATE)
    assert call.principal == runs.cloud.airflow_principal
    request = MessageToDict(type(call.request).pb(call.request), preserving_proto_field_name=True)
    job = request["pipeline_job"]
    assert job.pop("pipeline_spec") == pipeline_spec()
    assert request == {
        "parent": "projects/respan-test/locations/europe-west4",
        "pipeline_job_id": VertexRun.of(PIPELINE, RUN).job_id(1),
        "pipeline_job": {
            "display_name": "digits",
            "labels": {"team": "birds", "respan-pipeline": PIPELINE, "respan-run": RUN},
            "runtime_config": {"gcs_output_directory": "gs://respan-test/pipelines"},
            "service_account": "respan-vertex@respan-test.iam.gserviceaccount.com",
            "network": "projects/415104041262/global/networks/respan",
            "encryption_spec": {
                "kms_key_name": "projects/respan-test/locations/europe-west4/keyRings/respan/cryptoKeys/runs"
            },
        },
    }


def test_each_component_is_mirrored_with_duration_and_link(runs: Runs) -> None:
    runs.script.slow("Transform", 3)
    runs.start()
    for node in TRAINING:
        done = runs.component(node).result()
        assert (done["node"], done["state"]) == (node, "succeeded")
        assert done["seconds"] >= 0
        assert done["link"].startswith("https://console.cloud.google.com/logs/query;query=")
    assert runs.states() == ["succeeded"]
    assert runs.service.created == 1


def test_what_comes_from_the_cache_is_told(runs: Runs) -> None:
    runs.service.fail("Trainer")
    runs.start()
    trainer = runs.component("Trainer")
    with pytest.raises(AirflowFailException):
        trainer.result()
    trainer.clear()
    assert trainer.result()["state"] == "succeeded"
    assert runs.component("Transform").result()["state"] == "cached"
    assert runs.states() == ["failed", "succeeded"]


def test_nine_waiting_tasks_cost_one_look(runs: Runs) -> None:
    runs.script.hold("Trainer")
    runs.start()
    runs.script.wait_for("Trainer")
    waiting = [runs.component("Trainer").begin() for _ in range(9)]
    assert all(isinstance(one, TaskDeferred) for one in waiting)
    runs.cloud.calls.clear()

    async def wait_for_all() -> list[Any]:
        events = [asyncio.create_task(event_of(one)) for one in waiting]
        await asyncio.to_thread(runs.cloud.calls.wait_for, GET, 3)
        before = runs.calls(GET)
        runs.script.finish("Trainer")
        ended = await asyncio.gather(*events)
        assert runs.calls(GET) - before <= 2  # one may be under way
        return ended

    assert {event["state"] for event in asyncio.run(wait_for_all())} == {"succeeded"}
    assert len({call.metadata.get("x-goog-request-params") for call in runs.cloud.calls.of(GET)}) == 1


def test_a_failed_component_is_told_by_name_with_error_log_and_remedy_and_not_retried(runs: Runs) -> None:
    runs.service.fail("Trainer", "out of memory")
    runs.start()
    with pytest.raises(AirflowFailException) as raised:
        runs.component("Trainer").result()
    message = str(raised.value)
    assert message.startswith("component Trainer failed: out of memory: fix it, then clear this task")
    assert "log: https://console.cloud.google.com/logs/query;" in message
    with pytest.raises(AirflowFailException, match="Evaluator was not run: component Trainer failed: out of memory"):
        runs.component("Evaluator").result()
    assert runs.component("ImportExampleGen").result()["state"] == "succeeded"
    assert (runs.states(), runs.service.created) == (["failed"], 1)


def test_a_retry_of_a_failed_task_never_submits_only_clearing_does_once(runs: Runs) -> None:
    runs.service.fail("ExampleValidator")
    runs.service.fail("Transform")
    runs.start()
    tasks = [runs.component("ExampleValidator"), runs.component("Transform")]
    for task in [*tasks, *tasks]:
        with pytest.raises(AirflowFailException):
            task.result()
    assert runs.service.created == 1
    for task in tasks:
        task.clear()

    async def both() -> None:
        await asyncio.gather(*(task.finish() for task in tasks))

    asyncio.run(both())
    assert runs.states() == ["failed", "succeeded"]


def test_a_component_that_failed_in_a_job_that_goes_on_runs_again_after_its_end(runs: Runs) -> None:
    runs.script.hold("ExampleValidator")
    runs.service.fail("Transform")
    runs.start()
    task = runs.component("Transform")
    with pytest.raises(AirflowFailException):
        task.result()
    task.clear()
    waiting = task.begin()
    assert runs.states() == ["running"]
    runs.script.finish("ExampleValidator")
    assert task.resume(waiting, asyncio.run(event_of(waiting)))["state"] == "succeeded"
    assert (runs.states(), runs.calls(CANCEL)) == (["failed", "succeeded"], 0)


def test_a_task_cleared_while_it_waits_cancels_the_job_and_starts_the_next_attempt(runs: Runs) -> None:
    runs.script.hold("Trainer")
    runs.script.hold_cancelled()
    runs.start()
    task = runs.component("Trainer")
    waiting = task.begin()
    asyncio.run(waiting.trigger.on_kill())
    asyncio.run(waiting.trigger.on_kill())
    assert runs.states() == ["cancelling"]
    task.clear()
    again = task.begin()
    assert runs.states() == ["cancelling", "running"]
    runs.script.finish_cancelled()
    runs.script.finish("Trainer")
    assert task.resume(again, asyncio.run(event_of(again)))["state"] == "succeeded"
    assert runs.states() == ["cancelled", "succeeded"]


def test_it_does_so_too_where_the_task_begins_before_its_trigger_was_killed(runs: Runs) -> None:
    runs.script.hold("Trainer")
    runs.start()
    task = runs.component("Trainer")
    task.begin()
    task.clear()
    task.begin()
    assert runs.states() == ["cancelled", "running"]


def test_another_waiting_task_follows_the_run_to_its_next_attempt(runs: Runs) -> None:
    runs.script.hold("ExampleValidator", "Transform")
    runs.start()
    cleared, other = runs.component("Transform"), runs.component("ExampleValidator")
    cleared.begin()
    waiting = other.begin()
    cleared.clear()
    cleared.begin()
    following = other.resume(waiting, asyncio.run(event_of(waiting)))
    runs.script.finish("ExampleValidator")
    assert other.resume(following, asyncio.run(event_of(following)))["state"] == "succeeded"


def test_a_job_cancelled_by_somebody_else_fails_the_task_and_stays_cancelled(runs: Runs) -> None:
    runs.script.hold("Trainer")
    job = runs.start()
    task = runs.component("Trainer")
    waiting = task.begin()
    runs.service.cancel(job)
    message = r"the pipeline job was cancelled.*clear this task"
    with pytest.raises(AirflowException, match=message):
        task.resume(waiting, asyncio.run(event_of(waiting)))
    with pytest.raises(AirflowException, match=message):
        task.result()
    assert (runs.states(), runs.service.created) == (["cancelled"], 1)
    task.clear()
    runs.script.finish("Trainer")
    assert task.result()["state"] == "succeeded"


def test_a_paused_job_is_neither_success_nor_failure(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    runs.script.hold("Trainer")
    job = runs.start()
    waiting = runs.component("Evaluator").begin()

    async def through_a_pause() -> Any:
        runs.service.pause(job)
        event = asyncio.create_task(event_of(waiting))
        await asyncio.to_thread(runs.cloud.calls.wait_for, GET, runs.calls(GET) + 2)
        runs.script.finish("Trainer")
        await asyncio.to_thread(runs.cloud.calls.wait_for, GET, runs.calls(GET) + 2)
        assert not event.done()
        runs.service.resume(job)
        return await event

    assert asyncio.run(through_a_pause())["state"] == "succeeded"
    assert capsys.readouterr().out.count("is paused: resume the job to go on") == 1


def test_a_worker_or_triggerer_that_dies_changes_nothing(runs: Runs) -> None:
    runs.script.hold("Trainer")
    runs.start()
    task = runs.component("Trainer")

    async def killed_triggerer() -> None:
        event = asyncio.create_task(event_of(task.begin()))
        await asyncio.to_thread(runs.cloud.calls.wait_for, GET, runs.calls(GET) + 1)
        event.cancel()
        await asyncio.gather(event, return_exceptions=True)

    asyncio.run(killed_triggerer())
    assert isinstance(task.begin(), TaskDeferred)
    runs.script.finish("Trainer")
    assert task.result()["state"] == "succeeded"
    assert (runs.service.created, runs.calls(CANCEL)) == (1, 0)
