"""What the deployment on Vertex AI lives through before the tests look at it.

First samples → training on Vertex AI → release 1, which the endpoint serves → the camera is tilted: a batch prediction
job, DEGRADED → retraining, in which the scheduler with its workers is killed while it submits the job, then the
triggerer; its Trainer fails and is cleared → release 2.

Then each pipeline is trained on the target that its settings don't name; one run is marked failed on its way, and the
answer to another one's submission is lost.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import psutil

from scripts.airflow_local import LocalAirflow
from tests.end_to_end.deployment import EVALUATION, RETRAINING, TRAINING, pictures
from tests.end_to_end.processes import survivors, told
from tests.end_to_end.vertex_deployment import AT_HOME_TRAINING, VertexDeployment
from tests.gcp.faults import Fault

CREATE = "PipelineService.CreatePipelineJob"
TRAINER = "components.Trainer"
#: The component that waits while its job is queued.
FIRST = "ImportExampleGen"
OUT_OF_MEMORY = "The replica workerpool0-0 ran out-of-memory and exited with a non-zero status of 137."

_PATIENCE = 600.0


@dataclass(frozen=True)
class Failed:
    """The retraining's training as a person found it: its tasks' states, the Trainer's log, the resource name of its
    job, and the states of all jobs so far."""

    states: dict[str, str | None]
    log: str
    job: str
    jobs: list[str]


@dataclass(frozen=True)
class Marked:
    """A run that a person marked as failed: the containers that ran then, what was left of them and of its jobs."""

    run: str
    containers: list[str]
    survivors: list[str]
    unfinished: list[str]
    states: list[str]


@dataclass(frozen=True)
class VertexLived:
    """The deployment after all that, with its runs; its Airflow still runs.

    ``answers`` are the labels of a few pictures and what the endpoint answered while release 1 served;
    ``answered_by`` is the id of the deployed model that did.
    """

    deployment: VertexDeployment
    states: dict[str, str]
    first_training: str
    answers: list[tuple[str, Any]]
    answered_by: str
    degraded_evaluation: str
    second_retraining: str
    second_training: str
    failed: Failed
    local_training: str
    marked: Marked
    vertex_training: str


def live(deployment: VertexDeployment) -> VertexLived:
    airflow = deployment.airflow
    states: dict[str, str] = {}

    def starts(dag_id: str) -> str:
        return airflow.wait_for_run(dag_id, other_than=tuple(states), timeout=_PATIENCE)

    def ends(dag_id: str, run_id: str, state: str = "success") -> str:
        states[run_id] = airflow.wait(dag_id, run_id, timeout=_PATIENCE)
        assert states[run_id] == state, f"{dag_id} {run_id}: {airflow.task_states(dag_id, run_id)}"
        return run_id

    airflow.unpause(EVALUATION, RETRAINING, TRAINING, AT_HOME_TRAINING)
    deployment.collect(80, seed=1)
    ends(EVALUATION, starts(EVALUATION))
    first_retraining, first_training = starts(RETRAINING), ends(TRAINING, starts(TRAINING))
    ends(RETRAINING, first_retraining)
    asked = list(pictures(8, seed=2))
    answers, answered_by = deployment.answers([content for _, content in asked])

    deployment.pipelines.fail("Trainer", OUT_OF_MEMORY)
    deployment.pipelines.queue()
    deployment.cloud.faults.add(CREATE, Fault.SLOW(_PATIENCE))
    deployment.collect(80, seed=3, tilted=True)
    degraded_evaluation = starts(EVALUATION)
    airflow.until(lambda: len(deployment.cloud.calls.of(CREATE)) == 2, _PATIENCE, "nothing is submitted")
    airflow.kill("scheduler")  # with the worker that waits for the answer: the service acts, and nobody is told
    airflow.start_component("scheduler")
    ends(EVALUATION, degraded_evaluation)
    second_retraining, second_training = starts(RETRAINING), starts(TRAINING)
    _until_awaited(airflow, TRAINING, second_training)
    airflow.kill("triggerer")
    deployment.pipelines.admit()
    airflow.start_component("triggerer")
    ends(TRAINING, second_training, "failed")
    ends(RETRAINING, second_retraining, "failed")
    failed = Failed(
        airflow.task_states(TRAINING, second_training),
        airflow.task_log(TRAINING, second_training, TRAINER),
        airflow.result(TRAINING, second_training, "start_run")["job"],
        job_states(deployment),
    )
    airflow.clear(TRAINING, second_training, *_to_clear(failed.states))
    ends(TRAINING, second_training)
    airflow.clear(RETRAINING, second_retraining, "train", "is_released")
    ends(RETRAINING, second_retraining)

    local_training = airflow.trigger(TRAINING, {"target": "local"})
    deployment.lend_spans()
    marked = _marked_failed(deployment)
    deployment.cloud.faults.add(CREATE, Fault.DROPPED)
    vertex_training = airflow.trigger(AT_HOME_TRAINING, {"target": "vertex"})
    ends(TRAINING, local_training)
    ends(AT_HOME_TRAINING, vertex_training)
    return VertexLived(
        deployment,
        states,
        first_training,
        [(name.partition("/")[0], answer) for (name, _), answer in zip(asked, answers, strict=True)],
        answered_by,
        degraded_evaluation,
        second_retraining,
        second_training,
        failed,
        local_training,
        marked,
        vertex_training,
    )


def job_states(deployment: VertexDeployment) -> list[str]:
    """Of the pipeline jobs, in the order in which they were made."""
    return [job.state.name.removeprefix("PIPELINE_STATE_").lower() for job in deployment.pipelines.jobs()]


def _to_clear(states: dict[str, str | None]) -> list[str]:
    """What clearing the failed task with all that is downstream clears."""
    return [task for task, state in states.items() if state != "success" or task == "end_run"]


def components(states: dict[str, str | None]) -> dict[str, str | None]:
    """Those of a training's tasks that are components, by their nodes."""
    return {task.removeprefix("components."): state for task, state in states.items() if task.startswith("components.")}


def _until_awaited(airflow: LocalAirflow, dag_id: str, run_id: str) -> None:
    """Returns when the first component of a training, whose job is queued, is waited for in the triggerer."""
    airflow.until(
        lambda: components(airflow.task_states(dag_id, run_id)).get(FIRST) == "deferred",
        _PATIENCE,
        f"{FIRST} is not waited for",
    )


def _marked_failed(deployment: VertexDeployment) -> Marked:
    """A run of :data:`AT_HOME_TRAINING` on Vertex AI, which a person marks as failed while a container works."""
    airflow, pipelines = deployment.airflow, deployment.pipelines
    pipelines.queue()
    run = airflow.trigger(AT_HOME_TRAINING, {"target": "vertex"})
    _until_awaited(airflow, AT_HOME_TRAINING, run)
    pipelines.admit()
    found: list[psutil.Process] = []

    def works() -> bool:
        found[:] = containers(deployment)
        return bool(found)

    airflow.until(works, _PATIENCE, "no container works")
    names = [told(process) for process in found]
    airflow.api.patch(f"dags/{AT_HOME_TRAINING}/dagRuns/{quote(run, safe='')}", {"state": "failed"})
    deadline = time.monotonic() + _PATIENCE
    while pipelines.unfinished() and time.monotonic() < deadline:
        time.sleep(0.2)
    return Marked(run, names, survivors(containers(deployment)), pipelines.unfinished(), job_states(deployment))


def containers(deployment: VertexDeployment) -> list[psutil.Process]:
    """The processes that stand for containers; all work in folders of their own."""
    folder, found = f"{deployment.cloud.folder / 'containers'}/", []
    for process in psutil.process_iter():
        try:
            if f"{process.cwd()}/".startswith(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found
