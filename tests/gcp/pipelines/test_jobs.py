"""PipelineService's double: jobs, and the tasks that end as a test says."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core.exceptions import FailedPrecondition

from tests.gcp.pipelines.conftest import Place
from tests.gcp.services.spec_samples import TRAINING, pipeline_job, pipeline_spec

RUNNING, SUCCEEDED, FAILED = ("PIPELINE_STATE_RUNNING", "PIPELINE_STATE_SUCCEEDED", "PIPELINE_STATE_FAILED")
PAUSED, CANCELLING, CANCELLED = ("PIPELINE_STATE_PAUSED", "PIPELINE_STATE_CANCELLING", "PIPELINE_STATE_CANCELLED")


def test_a_job_runs_its_tasks_in_their_order_and_tells_of_each(place: Place) -> None:
    made = place.submit()
    assert made.state.name == "PIPELINE_STATE_PENDING"
    assert made.name == f"projects/{place.cloud.project_number}/locations/{place.cloud.region}/pipelineJobs/first"

    job: Any = place.job()
    assert job.state.name == SUCCEEDED
    assert job.create_time <= job.start_time <= job.end_time
    assert place.tasks() == dict.fromkeys(TRAINING, "SUCCEEDED")
    order = [task for _, task in place.script.executions]
    assert all(order.index(before) < order.index(task) for task, upstream in TRAINING.items() for before in upstream)
    trainer = place.details()["Trainer"]
    assert [one.state.name for one in trainer.pipeline_task_status] == ["PENDING", "RUNNING", "SUCCEEDED"]
    assert trainer.executor_detail.container_detail.main_job.startswith(made.name.partition("/pipelineJobs")[0])
    assert set(trainer.inputs) == {"importexamplegen", "transform", "importschemagen"}
    (model,) = trainer.outputs["trainer"].artifacts
    assert model.schema_title == "tfx.Trainer"
    assert model.state.name == "LIVE"
    folder = f"gs://respan-test/pipelines/{place.cloud.project_number}/first/Trainer_{trainer.task_id}"
    assert model.uri == f"{folder}/trainer"


def test_a_job_s_own_entry_stands_among_its_tasks(place: Place) -> None:
    place.submit()
    entries = place.job().job_detail.task_details
    (own,) = [one for one in entries if one.task_name == "first"]
    assert own.execution.schema_title == "system.Run"
    assert {one.parent_task_id for one in entries if one is not own and one.task_name != "first"} == {own.task_id}


def test_a_task_also_waits_for_what_gives_it_nothing(place: Place) -> None:
    spec = pipeline_spec({"a": (), "b": ()})
    spec["root"]["dag"]["tasks"]["a"]["dependentTasks"] = ["b"]
    place.submit(pipeline_job(spec))
    assert place.script.executions == [("first", "b"), ("first", "a")]


def test_a_held_task_runs_until_it_is_told_to_end(place: Place) -> None:
    place.script.hold("Transform")
    place.submit()
    assert place.state() == RUNNING
    assert place.tasks()["Transform"] == "RUNNING"
    assert "Trainer" not in place.tasks()
    place.script.finish("Transform")
    assert place.state() == SUCCEEDED


def test_a_failed_task_fails_the_job_by_name_and_what_follows_is_not_triggered(place: Place) -> None:
    place.service.fail("Trainer", "out of memory")
    place.submit()
    job = place.job()
    assert job.state.name == FAILED
    assert job.error.code == 9
    assert "The failed tasks are: [Trainer]." in job.error.message
    tasks = place.tasks()
    assert (tasks["Transform"], tasks["Trainer"], tasks["Evaluator"]) == ("SUCCEEDED", "FAILED", "NOT_TRIGGERED")
    assert tasks["Pusher"] == "NOT_TRIGGERED"
    assert place.details()["Trainer"].error.message == "out of memory"


@pytest.mark.parametrize(("policy", "expected"), [(1, "SUCCEEDED"), (2, "NOT_TRIGGERED")])
def test_after_a_failure_only_a_slowly_failing_job_starts_what_it_can(place: Place, policy: int, expected: str) -> None:
    spec = pipeline_spec({"bad": (), "held": (), "after": ("held",)})
    place.script.hold("bad", "held")
    place.submit(pipeline_job(spec, runtime_config={"failure_policy": policy}))
    place.script.fail("bad")
    assert place.state() == RUNNING
    place.script.finish("held")
    assert place.tasks() == {"bad": "FAILED", "held": "SUCCEEDED", "after": expected}
    assert place.state() == FAILED


def test_a_preempted_task_is_retried_as_often_as_the_spec_says(place: Place) -> None:
    place.script.preempt("Trainer", times=2)
    place.submit(pipeline_job(pipeline_spec(retries=2)))
    trainer = place.details()["Trainer"]
    assert trainer.state.name == "SUCCEEDED"
    containers = trainer.executor_detail.container_detail
    assert len({*containers.failed_main_jobs, containers.main_job}) == 3
    assert place.state() == SUCCEEDED


def test_a_preempted_task_without_retries_fails(place: Place) -> None:
    place.script.preempt("Trainer")
    place.submit()
    error = place.details()["Trainer"].error
    assert (error.code, "preempted" in error.message) == (14, True)


def test_a_slow_task_ends_after_so_many_looks(place: Place) -> None:
    place.script.slow("Trainer", 2)
    place.submit()
    assert [place.tasks()["Trainer"] for _ in range(3)] == ["RUNNING", "RUNNING", "SUCCEEDED"]


def test_a_paused_job_starts_nothing_until_it_is_resumed(place: Place) -> None:
    place.script.hold("Transform")
    place.submit()
    place.service.pause("first")
    place.script.finish("Transform")
    assert place.state() == PAUSED
    assert "Trainer" not in place.tasks()
    place.service.resume("first")
    assert place.state() == SUCCEEDED


def test_a_cancelled_job_is_cancelling_until_its_tasks_have_ended(place: Place) -> None:
    place.script.hold("Trainer")
    place.script.hold_cancelled()
    place.submit()
    place.cancel()
    assert place.state() == CANCELLING
    assert place.tasks()["Trainer"] == "CANCELLING"
    place.script.finish_cancelled()
    job = place.job()
    assert (job.state.name, job.error.code) == (CANCELLED, 1)
    assert place.tasks()["Trainer"] == "CANCELLED"
    with pytest.raises(FailedPrecondition):
        place.cancel()


def test_somebody_else_may_cancel_a_job(place: Place) -> None:
    place.script.hold("Trainer")
    place.submit()
    place.service.cancel("first")
    assert place.state() == CANCELLED
    assert place.service.unfinished() == []


def test_a_queued_job_begins_when_it_is_admitted(place: Place) -> None:
    place.service.queue()
    assert place.submit().state.name == "PIPELINE_STATE_QUEUED"
    assert place.state() == "PIPELINE_STATE_QUEUED"
    place.service.admit()
    assert place.state() == SUCCEEDED


def test_the_same_work_on_the_same_inputs_is_taken_from_the_cache(place: Place) -> None:
    place.submit()
    place.submit(job_id="second")
    assert place.tasks("second") == dict.fromkeys(TRAINING, "SKIPPED")
    first, second = place.details(), place.details("second")
    assert first["Trainer"].outputs == second["Trainer"].outputs
    assert len(place.script.executions) == len(TRAINING)
    in_second = f'schema_title="tfx.Trainer" AND in_context("{place.service.metadata.context("second")}")'
    (model,) = second["Trainer"].outputs["trainer"].artifacts
    assert [one.name for one in place.service.metadata.query(in_second, 9)] == [model.name]


def test_another_parameter_or_caching_off_is_no_hit(place: Place) -> None:
    spec = pipeline_spec({"only": ()}, parameters={"window": "STRING"})
    place.submit(pipeline_job(spec, runtime_config={"parameter_values": {"window": "1"}}))
    place.submit(pipeline_job(spec, runtime_config={"parameter_values": {"window": "2"}}), job_id="other")
    spec["root"]["dag"]["tasks"]["only"]["cachingOptions"]["enableCache"] = False
    place.submit(pipeline_job(spec, runtime_config={"parameter_values": {"window": "2"}}), job_id="off")
    spec["root"]["dag"]["tasks"]["only"]["cachingOptions"]["enableCache"] = True
    place.submit(pipeline_job(spec, runtime_config={"parameter_values": {"window": "2"}}), job_id="same")
    states = [place.tasks(job)["only"] for job in ("first", "other", "off", "same")]
    assert states == ["SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "SKIPPED"]


def test_another_machine_is_a_hit_and_another_image_is_none(place: Place) -> None:
    spec = pipeline_spec({"only": ()})
    container = spec["deploymentSpec"]["executors"]["only_executor"]["container"]
    place.submit(pipeline_job(spec))
    container["resources"] = {"cpuLimit": 8.0}
    place.submit(pipeline_job(spec), job_id="faster")
    container["image"] += "1"
    place.submit(pipeline_job(spec), job_id="newer")
    assert [place.tasks(job)["only"] for job in ("faster", "newer")] == ["SKIPPED", "SUCCEEDED"]


def test_a_failed_task_runs_again_in_the_next_job_and_what_succeeded_does_not(place: Place) -> None:
    place.service.fail("Trainer")
    place.submit()
    place.submit(job_id="second")
    again = [task for job, task in place.script.executions if job == "second"]
    assert again == ["Trainer", "Evaluator", "Pusher"]
    assert place.tasks("second")["Transform"] == "SKIPPED"


def test_an_output_has_what_the_script_says_of_it(place: Place) -> None:
    place.script.output("Evaluator", "evaluator", {"blessed": 1})
    place.submit()
    (blessing,) = place.details()["Evaluator"].outputs["evaluator"].artifacts
    assert dict(blessing.metadata) == {"blessed": 1}
