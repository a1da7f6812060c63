"""A training run on Vertex AI in a real Airflow: scheduler, triggerer and API server, which know nothing of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ml import layout
from ml.records import Span, now
from ml.storage.gcs import GcsStorage
from scripts.airflow_local import LocalAirflow
from tests.dags.pipeline_folders import write_pipeline
from tests.gcp.services.pipelines import PipelineService
from tests.gcp.training_runs import CREATE, SETTINGS

pytest_plugins = ["tests.gcp.training_fixtures"]

NAME, DAG = "tried", "tried.training"
TRAINER, VALIDATOR = "components.Trainer", "components.ExampleValidator"


@pytest.fixture
def airflow(scripted: Any, tmp_path: Path) -> Iterator[LocalAirflow]:
    """With one pipeline, which has one span, and nothing to train on."""
    cloud, _, _ = scripted
    write_pipeline(tmp_path / "pipelines", NAME, SETTINGS.replace("poll_seconds: 0.02", "poll_seconds: 0.5"))
    span = Span(span=1, batch="b", created=now(), classes={}, train=1, eval=1, duplicates=0, refused=0)
    storage = GcsStorage(cloud.bucket, f"airflow/{NAME}")
    storage.write(layout.span(1, layout.SPAN), span.to_json())
    for split in ("train", "eval"):
        storage.write(layout.span(1, f"{split}/samples.tfrecord.gz"), b"")
    with LocalAirflow(
        tmp_path / "home",
        storage=f"gs://{cloud.bucket}/airflow",
        pipelines=str(tmp_path / "pipelines"),
        environment=cloud.environment,
    ) as airflow:
        airflow.wait_for_dags(DAG)
        airflow.unpause(DAG)
        yield airflow


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_is_followed_cleared_cancelled_and_ended(airflow: LocalAirflow, scripted: Any) -> None:
    cloud, service, script = scripted
    script.hold("Trainer")
    run = airflow.trigger(DAG, {"target": "vertex"})

    def until(what: str, condition: Callable[[dict[str, str | None]], bool]) -> None:
        airflow.until(lambda: condition(airflow.task_states(DAG, run)), 120, f"not yet: {what}")

    def log(task: str, number: int = 1) -> str:
        return airflow.task_log(DAG, run, task, try_number=number)

    # Each component follows its own part of the job, and links to it.
    until("the Trainer is waited for", lambda states: states[TRAINER] == "deferred")
    assert _states(service) == ["running"]
    assert airflow.task_states(DAG, run)["components.Transform"] == "success"
    assert airflow.result(DAG, run, "components.Transform")["state"] == "succeeded"
    (job,) = [job.name for job in service.jobs()]
    assert airflow.result(DAG, run, "start_run")["job"] == job
    links = airflow.api.get(f"dags/{DAG}/dagRuns/{run.replace('+', '%2B')}/taskInstances/start_run/links")
    assert links["extra_links"]["Vertex AI pipeline"].startswith("https://console.cloud.google.com/vertex-ai/")

    # Clearing the waiting task cancels the job, and starts the next attempt.
    airflow.clear(DAG, run, TRAINER)
    airflow.until(lambda: _states(service) == ["cancelled", "running"], 60, "no next attempt")
    until("the next attempt is waited for", lambda states: states[TRAINER] == "deferred")

    # The death of the triggerer changes nothing.
    airflow.kill("triggerer")
    airflow.start_component("triggerer")

    # A failure is told, and nothing is left.
    script.fail("Trainer", "out of memory")
    assert airflow.wait(DAG, run, timeout=120) == "failed"
    states = airflow.task_states(DAG, run)
    assert (states[TRAINER], states["publish"], states["end_run"]) == ("failed", "upstream_failed", "success")
    assert "component Trainer failed: out of memory: fix it, then clear this task" in log(TRAINER, 2)

    # Cleared with all that is downstream it runs again, and the rest comes from the cache.
    below = [task for task in states if task in ("publish", "serve", "released", "end_run") or "Evaluator" in task]
    script.hold("Evaluator")
    airflow.clear(DAG, run, TRAINER, "components.Pusher", *below)
    until("the Evaluator is waited for", lambda states: states["components.Evaluator"] == "deferred")
    assert _states(service) == ["cancelled", "failed", "running"]

    # A run that a person ends leaves no job behind.
    airflow.api.patch(f"dags/{DAG}/dagRuns/{run.replace('+', '%2B')}", {"state": "failed"})
    airflow.until(lambda: service.unfinished() == [], 60, "a job is left")
    assert len(cloud.calls.of(CREATE)) == 3


def _states(service: PipelineService) -> list[str]:
    return [job.state.name.removeprefix("PIPELINE_STATE_").lower() for job in service.jobs()]
