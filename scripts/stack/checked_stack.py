"""A stack that is being checked: what is known of its runs and its samples. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from scripts.airflow_runs import AirflowRuns
from scripts.stack.admin import stack_airflow
from scripts.stack.engine import BrokenPromiseError, Engine

FIRST, SECOND = "image_classification", "second"
PORTS = {"RESPAN_PORT": 8080, "RESPAN_MODEL_PORT": 8501, "RESPAN_PROMETHEUS_PORT": 9090}

_PATIENCE = 1200.0


class CheckedStack:
    """``settings`` are the variables of ``.env``. What isn't as promised raises ``BrokenPromiseError``."""

    def __init__(self, engine: Engine, settings: Mapping[str, str]) -> None:
        self.engine, self.settings = engine, settings
        self.ports = {name: int(settings.get(name) or port) for name, port in PORTS.items()}
        self.airflow: AirflowRuns = stack_airflow(f"http://127.0.0.1:{self.ports['RESPAN_PORT']}", settings)

    def copy(self, project: str) -> CheckedStack:
        """Another stack of the same files and secrets, with volumes of its own, on ports 10 above this one's."""
        ports = {name: str(port + 10) for name, port in self.ports.items()}
        return CheckedStack(self.engine.copy(project, **ports), {**self.settings, **ports})

    def audit(self) -> None:
        told = json.loads(self.engine.tools("python", "-m", "ml", "audit", FIRST, "--json"))
        say(f"audit: {told['collected']} samples collected, {told['lost']} lost, {told['duplicated']} duplicated")
        if told["lost"] or told["duplicated"]:
            raise BrokenPromiseError("the audit does not balance")

    def train(self, pipeline: str, run_id: str, *, epochs: int) -> str:
        """Starts a training run and returns its DAG. TFX's cache has the models of ``epochs`` that a run had before."""
        dag = f"{pipeline}.training"
        self.airflow.trigger(dag, {"settings": {"training.epochs": epochs}}, run_id=run_id)
        return dag

    def ends_well(self, dag: str, run_id: str) -> None:
        state = self.airflow.wait(dag, run_id, timeout=_PATIENCE)
        say(f"{dag} {run_id}: {state}")
        if state != "success":
            raise BrokenPromiseError(f"{dag} {run_id} ended as {state}: {self.airflow.task_states(dag, run_id)}")

    def running(self, dag: str, run_id: str, task: str) -> dict[str, Any]:
        self.airflow.until(
            lambda: self.task(dag, run_id, task)["state"] == "running", _PATIENCE, f"{task} has not started"
        )
        return self.task(dag, run_id, task)

    def task(self, dag: str, run_id: str, name: str) -> dict[str, Any]:
        found = self.airflow.task_instances(dag, run_id)
        return next(each for each in found if each["task_id"].rsplit(".", 1)[-1] == name)

    def hosts(self, dag: str, run_id: str) -> set[str]:
        return {each["hostname"] for each in self.airflow.task_instances(dag, run_id) if each["hostname"]}


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201
