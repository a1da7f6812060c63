"""What a job's message says of a component: every state of Vertex AI, read the same way everywhere."""

from __future__ import annotations

from typing import Any

import pytest
from google.cloud.aiplatform_v1 import PipelineJob
from respan.vertex.job_report import Report, State, outputs, report
from respan.vertex.mirroring import Seen, Step, next_step

from tests.gcp.services.spec_samples import pipeline_spec

NAME = "projects/1/locations/europe-west4/pipelineJobs/j"
UPSTREAM = "Champion"


def job(state: str, *tasks: tuple[str, str], error: str = "", at: int = 0) -> Any:
    """A job of a pipeline with two components, and an entry for the pipeline itself."""
    entries = [
        {"task_name": name, "state": told, "create_time": {"seconds": at + number}, "error": {"message": "why"}}
        for number, (name, told) in enumerate([("j", "RUNNING"), *tasks])
    ]
    message = PipelineJob(
        name=NAME,
        state=f"PIPELINE_STATE_{state}",
        pipeline_spec=pipeline_spec(dict.fromkeys((UPSTREAM, "Trainer"), ())),
        job_detail={"task_details": entries},
        error={"message": error},
    )
    return PipelineJob.pb(message)


@pytest.mark.parametrize(
    ("of_job", "of_task", "expected"),
    [
        ("QUEUED", None, State.RUNNING),
        ("PENDING", None, State.RUNNING),
        ("RUNNING", "PENDING", State.RUNNING),
        ("RUNNING", "RUNNING", State.RUNNING),
        ("RUNNING", "SUCCEEDED", State.SUCCEEDED),
        ("RUNNING", "SKIPPED", State.CACHED),
        ("RUNNING", "FAILED", State.FAILED),
        ("PAUSED", "RUNNING", State.PAUSED),
        ("PAUSED", "SUCCEEDED", State.SUCCEEDED),
        ("CANCELLING", "CANCELLING", State.RUNNING),
        ("CANCELLING", "CANCELLED", State.RUNNING),
        ("CANCELLED", "CANCELLED", State.CANCELLED),
        ("CANCELLED", None, State.CANCELLED),
        ("CANCELLED", "SUCCEEDED", State.SUCCEEDED),
        ("FAILED", "NOT_TRIGGERED", State.NOT_RUN),
        ("FAILED", "CANCELLED", State.NOT_RUN),
        ("FAILED", None, State.NOT_RUN),
        ("SUCCEEDED", "NOT_TRIGGERED", State.NOT_RUN),
        ("SUCCEEDED", None, State.NOT_RUN),
        ("SUCCEEDED", "SUCCEEDED", State.SUCCEEDED),
    ],
)
def test_every_state_is_read_as_what_it_is(of_job: str, of_task: str | None, expected: State) -> None:
    tasks = [("Trainer", of_task)] if of_task else []
    assert report(job(of_job, *tasks), "Trainer").state is expected


def test_of_a_task_that_was_tried_again_the_last_entry_counts() -> None:
    assert report(job("RUNNING", ("Trainer", "FAILED"), ("Trainer", "SUCCEEDED")), "Trainer").state is State.SUCCEEDED


def test_a_component_that_was_not_run_names_the_one_that_failed() -> None:
    found = report(job("FAILED", (UPSTREAM, "FAILED"), error="The DAG failed"), "Trainer")
    assert found.error == "component Champion failed: why"
    assert report(job("FAILED", error="no quota"), "Trainer").error == "no quota"
    assert report(job("FAILED", error="no quota")).error == "no quota"


def test_a_report_comes_back_from_an_event_as_it_was() -> None:
    found = report(job("RUNNING", ("Trainer", "FAILED")), "Trainer")
    assert Report.from_json_dict(found.to_json_dict()) == found


def test_the_pipelines_own_entry_is_no_component() -> None:
    assert outputs(job("SUCCEEDED", ("Trainer", "SUCCEEDED"))) == {}
    assert report(job("RUNNING"), "j").state is State.RUNNING


STEPS = [
    # state of the job, of the component, waiting when it was cleared, cleared → what is next
    ("RUNNING", "RUNNING", True, True, Step.AGAIN),
    ("RUNNING", "RUNNING", True, False, Step.MIRROR),
    ("RUNNING", "RUNNING", False, True, Step.MIRROR),
    ("RUNNING", "FAILED", False, True, Step.AGAIN_AFTER_END),
    ("RUNNING", "SUCCEEDED", True, True, Step.MIRROR),
    ("CANCELLING", "RUNNING", False, True, Step.AGAIN),
    ("CANCELLED", "CANCELLED", False, True, Step.AGAIN),
    ("CANCELLED", "CANCELLED", True, False, Step.MIRROR),
    ("FAILED", "FAILED", False, True, Step.AGAIN),
    ("FAILED", "FAILED", False, False, Step.MIRROR),
    ("FAILED", "SUCCEEDED", False, True, Step.MIRROR),
    ("SUCCEEDED", "SUCCEEDED", False, True, Step.MIRROR),
    ("SUCCEEDED", "NOT_TRIGGERED", False, True, Step.MIRROR),
]


@pytest.mark.parametrize(("of_job", "of_task", "waiting", "cleared", "expected"), STEPS)
def test_only_a_cleared_task_lets_its_component_run_again(
    of_job: str, of_task: str, waiting: bool, cleared: bool, expected: Step
) -> None:
    found = report(job(of_job, ("Trainer", of_task)), "Trainer")
    assert next_step(found, Seen(NAME, 3, waiting), 4 if cleared else 3) is expected
    assert next_step(found, Seen("an earlier job", 3, waiting), 4) is Step.MIRROR
    assert next_step(found, None, 4) is Step.MIRROR
