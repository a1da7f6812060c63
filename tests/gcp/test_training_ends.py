"""How a training run on Vertex AI ends: what it gave is written down and published, and nothing runs on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from respan.operators.publish import PublishOperator
from respan.operators.training import EndRunOperator
from respan.vertex.training_run import XCOM_KEY

from ml import layout
from ml.errors import NotFoundError
from ml.home import pipeline_storage
from ml.vertex_records import RunOutputs
from tests.gcp.services.spec_samples import TRAINING
from tests.gcp.training_runs import CANCEL, PIPELINE, RUN, RUN_ID, Runs, Task, event_of

pytest_plugins = ["tests.gcp.training_fixtures"]


@pytest.fixture(autouse=True)
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Each command is written to this file in place of being run, and answers that nothing was blessed."""
    told, python = tmp_path / "commands", tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho \"$*\" >> '{told}'\necho '{{\"version\": null}}'\n")
    python.chmod(0o755)
    monkeypatch.setenv("RESPAN_WARM_IDLE_SECONDS", "0")
    monkeypatch.setenv("RESPAN_TFX_PYTHON", str(python))
    return told


def publish(runs: Runs) -> Task:
    return runs.task("publish", lambda: PublishOperator(task_id="publish", pipeline=PIPELINE, run_id=RUN_ID))


def end_run(runs: Runs) -> Any:
    return runs.task("end_run", lambda: EndRunOperator(task_id="end_run")).result()


def written() -> RunOutputs:
    return RunOutputs.from_json(pipeline_storage(PIPELINE).read(layout.run(RUN, layout.RUN_OUTPUTS)))


def test_what_the_components_gave_is_written_once_the_job_has_succeeded(runs: Runs, commands: Path) -> None:
    runs.script.hold("Pusher")
    job = runs.start()
    task = publish(runs)
    waiting = task.begin()
    assert isinstance(waiting, TaskDeferred)
    with pytest.raises(NotFoundError):
        written()
    runs.script.finish("Pusher")
    assert task.resume(waiting, asyncio.run(event_of(waiting))) == {"version": None}
    assert commands.read_text() == f"-m ml release publish {PIPELINE} --run-id {RUN_ID} --no-serve --json\n"
    record = written()
    assert record.job == job
    assert set(record.outputs) == set(TRAINING)
    assert set(record.outputs["Trainer"]) == {"trainer"}
    assert record.outputs["Trainer"]["trainer"].startswith("gs://respan-test/pipelines/")


def test_what_came_from_the_cache_counts_among_the_outputs(runs: Runs) -> None:
    runs.service.fail("Trainer")
    runs.start()
    trainer = runs.component("Trainer")
    with pytest.raises(AirflowFailException):
        trainer.result()
    trainer.clear()
    trainer.result()
    publish(runs).result()
    assert set(written().outputs) == set(TRAINING)


def test_nothing_is_published_of_a_job_that_failed(runs: Runs, commands: Path) -> None:
    runs.service.fail("Pusher", "no room")
    runs.start()
    with pytest.raises(AirflowFailException, match="pipeline job is failed: component Pusher failed: no room: clear"):
        publish(runs).result()
    assert not commands.exists()
    with pytest.raises(NotFoundError):
        written()


def test_end_run_cancels_a_job_that_runs_and_leaves_alone_one_that_has_ended(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.script.hold("Trainer")
    job = runs.start()
    assert end_run(runs) == [job]
    assert runs.states() == ["cancelled"]
    assert f"cancelled {job}, which was running" in capsys.readouterr().out
    assert end_run(runs) == []
    assert runs.calls(CANCEL) == 1
    assert f"{job} has ended: cancelled" in capsys.readouterr().out


def test_end_run_cancels_every_attempt_that_runs(runs: Runs) -> None:
    runs.script.hold("Trainer")
    runs.script.hold_cancelled()
    runs.start()
    task = runs.component("Trainer")
    task.begin()
    task.clear()
    task.begin()
    assert len(end_run(runs)) == 2
    runs.script.finish_cancelled()
    assert runs.states() == ["cancelled", "cancelled"]


def test_end_run_leaves_a_good_run_as_it_is(runs: Runs) -> None:
    runs.start()
    assert end_run(runs) == []
    assert (runs.states(), runs.calls(CANCEL)) == (["succeeded"], 0)


def test_on_the_target_local_no_call_reaches_the_cloud(runs: Runs) -> None:
    runs.cloud.calls.clear()
    assert ("start_run", XCOM_KEY) not in runs.outputs
    assert end_run(runs) == []
    assert publish(runs).result()["version"] is None
    assert len(runs.cloud.calls) == 0
