"""Batch predictions whose jobs wait, and the faults that they meet."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from respan.triggers import batch_prediction as trigger_module
from respan.vertex import batch_prediction, clearing_up
from respan.vertex.place import place_of

from ml.settings import load_settings
from tests.gcp.faults import Fault
from tests.gcp.predicting import Stage, Task
from tests.gcp.triggering import fired

PASSING = [Fault.UNAVAILABLE, Fault.RATE_LIMIT, Fault.QUOTA, Fault.DEADLINE, Fault.DROPPED, Fault.SLOW(0.2)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is waited for long, so that DEADLINE is quick."""
    for module in (batch_prediction, trigger_module):
        monkeypatch.setattr(module, "CALL_SECONDS", 2.0)
    monkeypatch.setattr(trigger_module, "CANCEL_SECONDS", 1.0)
    monkeypatch.setattr(clearing_up, "SECONDS_BETWEEN_TRIES", 0.01)


def held(stage: Stage) -> Task:
    """A task whose jobs wait at their beginning."""
    stage.serving.batch.script.hold()
    return stage.task()


def deferred(task: Task, *, most: int = 4) -> Any:
    """Try after try, until one waits for its job."""
    for _ in range(most - 1):
        try:
            return task.begin()
        except AirflowFailException:
            raise
        except AirflowException:
            continue
    return task.begin()


def finish(stage: Stage, task: Task) -> None:
    """Ends the one job that runs, so that nothing of this test is left."""
    (job,) = [job for job in stage.jobs(task) if job.state.name not in batch_prediction.ENDED]
    watching = trigger_of(task, job.name)
    asyncio.run(watching.on_kill())
    assert fired(watching) == {"job": job.name}
    assert set(stage.states(task)) <= {"CANCELLED", "FAILED"}


def trigger_of(task: Task, job: str) -> trigger_module.BatchPredictionTrigger:
    place = place_of(load_settings(task.pipeline))
    return trigger_module.BatchPredictionTrigger(place.connection, place.project, place.region, job, 0.05)
