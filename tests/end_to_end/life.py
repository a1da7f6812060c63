"""What the deployment lives through before the tests look at it.

First samples → training, whose Transform task is killed with ``kill -9`` on the way → release 1 → new samples PASS →
the camera is tilted: DEGRADED → retraining on both spans → release 2 → fresh samples of the tilted camera PASS.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

import pytest

from tests.end_to_end.deployment import EVALUATION, RETRAINING, TRAINING, Deployment

KILLED = "components.Transform"


@dataclass(frozen=True)
class Lived:
    """The deployment after all that, with the runs that made it, in order; its Airflow still runs."""

    deployment: Deployment
    first_evaluation: str
    first_retraining: str
    first_training: str
    good_evaluation: str
    degraded_evaluation: str
    second_retraining: str
    second_training: str
    last_evaluation: str
    states: dict[str, str]


def live(deployment: Deployment) -> Lived:
    airflow = deployment.airflow
    states: dict[str, str] = {}

    def starts(dag_id: str) -> str:
        """The next run of a DAG, which has begun or soon will."""
        return airflow.wait_for_run(dag_id, other_than=tuple(states), timeout=60)

    def ends(dag_id: str, run_id: str) -> str:
        states[run_id] = airflow.wait(dag_id, run_id, timeout=300)
        return run_id

    airflow.unpause(EVALUATION, RETRAINING, TRAINING)
    deployment.collect(80, seed=1)
    first_evaluation = ends(EVALUATION, starts(EVALUATION))
    first_retraining, first_training = starts(RETRAINING), starts(TRAINING)
    kill_task(deployment, TRAINING, first_training, KILLED, timeout=240)
    ends(TRAINING, first_training)
    ends(RETRAINING, first_retraining)

    deployment.collect(60, seed=2)
    good_evaluation = ends(EVALUATION, starts(EVALUATION))

    deployment.collect(80, seed=3, tilted=True)
    degraded_evaluation = ends(EVALUATION, starts(EVALUATION))
    second_retraining = ends(RETRAINING, starts(RETRAINING))
    second_training = ends(TRAINING, starts(TRAINING))

    deployment.collect(60, seed=4, tilted=True)
    last_evaluation = ends(EVALUATION, starts(EVALUATION))
    return Lived(
        deployment,
        first_evaluation,
        first_retraining,
        first_training,
        good_evaluation,
        degraded_evaluation,
        second_retraining,
        second_training,
        last_evaluation,
        states,
    )


def waiting_evaluation(deployment: Deployment) -> str:
    """The evaluation that waits for samples, or soon will: what is collected now is its batch."""
    airflow = deployment.airflow
    airflow.until(lambda: airflow.run_state(EVALUATION, airflow.run_ids(EVALUATION)[0]) == "running", 60, "none waits")
    return airflow.run_ids(EVALUATION)[0]


def kill_task(deployment: Deployment, dag_id: str, run_id: str, task_id: str, *, timeout: float) -> None:
    """``kill -9`` of the process that runs the task, as soon as its command has started."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        [task] = [t for t in deployment.airflow.task_instances(dag_id, run_id) if t["task_id"] == task_id]
        if task["state"] == "running" and task["pid"]:
            if "run-node" in deployment.airflow.task_log(dag_id, run_id, task_id):
                os.kill(task["pid"], signal.SIGKILL)
                return
        elif task["state"] in ("success", "failed", "upstream_failed"):
            break
        time.sleep(0.2)
    pytest.fail(f"{task_id} was never seen running")
