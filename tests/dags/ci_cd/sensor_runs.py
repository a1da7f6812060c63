"""Runs of a DAG whose task is the sensor, with parameters as the ci_cd DAG has them."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param
from respan.sensors.git_revision import GitRevisionSensor

from tests.dags.ci_cd import airflow_runs
from tests.dags.ci_cd.airflow_runs import Outcome


class SensorRuns:
    """SensorRuns of a DAG whose first task is the sensor, as the ci_cd DAG has it."""

    def __init__(self, number: int, *, wait: bool) -> None:
        params: Any = {
            "revision": Param(None, type=["null", "string"]),
            "branch": Param(None, type=["null", "string"]),
            "scope": "auto",
        }
        with DAG(f"watched{number}.ci_cd", schedule=None, params=params) as dag:
            GitRevisionSensor(
                task_id="detect",
                pipeline="watched",
                revision="{{ params.revision or '' }}",
                branch="{{ params.branch or '' }}",
                scope="{{ params.scope }}",
                wait=wait,
            )
        self.dag = dag
        airflow_runs.store(dag)

    def holder(self, run_id: str) -> str:
        return f"{self.dag.dag_id}/{run_id}"

    def by_event(self, run_id: str) -> Outcome:
        airflow_runs.start(self.dag, run_id, "asset_triggered", {})
        return self.again(run_id)

    def by_hand(self, run_id: str, **params: str) -> Outcome:
        airflow_runs.start(self.dag, run_id, "manual", params)
        return self.again(run_id)

    def through_the_triggerer(self, run_id: str) -> Outcome:
        airflow_runs.start(self.dag, run_id, "manual", {})
        return airflow_runs.execute(self.dag, run_id, deferred=True)

    def again(self, run_id: str) -> Outcome:
        return airflow_runs.execute(self.dag, run_id)

    def end(self, run_id: str, state: str | None) -> None:
        airflow_runs.set_run_state(self.dag, run_id, state)
