"""What goes on in an Airflow, told by its REST API: DAGs, runs, tasks, results and logs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scripts.airflow_api import AirflowApi, ApiError


class LocalAirflowError(RuntimeError):
    """Airflow didn't start, or a run didn't end in time; the message says where its log is."""


class AirflowRuns:
    """The DAGs and runs of one Airflow.

    :param api: how it is reached.
    :param logs: where its logs are, for messages.
    """

    def __init__(self, api: AirflowApi, logs: Path) -> None:
        self.api = api
        self.logs = logs

    def check_components(self, complaint: str = "Airflow can't go on") -> None:
        """Raises ``LocalAirflowError``, beginning with ``complaint``, where a component is known to have ended."""

    def import_errors(self) -> dict[str, str]:
        """What Airflow's UI shows of DAG files that it couldn't import: file → message."""
        found = self.api.get("importErrors")["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in found}

    def dag_ids(self) -> list[str]:
        return sorted(dag["dag_id"] for dag in self.api.get("dags?limit=100")["dags"])

    def wait_for_dags(self, *dag_ids: str, timeout: float = 90.0) -> None:
        """Returns when the DAG processor has stored all of them."""
        self.until(lambda: set(dag_ids) <= set(self.dag_ids()), timeout, f"Airflow doesn't know {', '.join(dag_ids)}")

    def unpause(self, *dag_ids: str) -> None:
        for dag_id in dag_ids:
            self.api.patch(f"dags/{quote(dag_id)}", {"is_paused": False})

    def watch(self, dag_id: str) -> None:
        """Unpauses a DAG that a watcher starts. Airflow registers the watcher when it reads the DAG's file the next
        time, which it is asked to do at once."""
        self.unpause(dag_id)
        self.api.put(f"parseDagFile/{self.api.get(f'dags/{quote(dag_id)}')['file_token']}")

    def pause(self, *dag_ids: str) -> None:
        for dag_id in dag_ids:
            self.api.patch(f"dags/{quote(dag_id)}", {"is_paused": True})

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, *, run_id: str | None = None) -> str:
        """Starts a run and returns its id. ``conf`` are the DAG's params."""
        body = {"conf": dict(conf or {}), "logical_date": None} | ({"dag_run_id": run_id} if run_id else {})
        started: str = self.api.post(f"dags/{quote(dag_id)}/dagRuns", body)["dag_run_id"]
        return started

    def run_ids(self, dag_id: str) -> list[str]:
        """The DAG's runs, the newest first."""
        found = self.api.get(f"dags/{quote(dag_id)}/dagRuns?order_by=-run_after&limit=100")["dag_runs"]
        return [run["dag_run_id"] for run in found]

    def run_state(self, dag_id: str, run_id: str) -> str:
        """``queued``, ``running``, ``success`` or ``failed``."""
        state: str = self.api.get(_run(dag_id, run_id))["state"]
        return state

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Task id → state (None: not scheduled yet), for live views and checks."""
        return {task["task_id"]: task["state"] for task in self.task_instances(dag_id, run_id)}

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The run's task instances as the REST API tells them (``task_id``, ``state``, ``start_date``,
        ``try_number``…)."""
        found: list[dict[str, Any]] = self.api.get(f"{_run(dag_id, run_id)}/taskInstances?limit=100")["task_instances"]
        return found

    def result(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What the task returned, decoded; None where there is nothing."""
        return self.xcom(dag_id, run_id, task_id, "return_value")

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str) -> Any:
        """What the task left under ``key``, decoded; None where there is nothing."""
        try:
            return self.api.get(f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries/{quote(key)}")[
                "value"
            ]
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def task_log(self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1) -> str:
        """The task's log as the UI shows it."""
        found = self.api.get(
            f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}/logs/{try_number}?full_content=true"
        )
        return "\n".join(_log_line(line) for line in found["content"])

    def clear(self, dag_id: str, run_id: str, *task_ids: str) -> None:
        """Clears tasks of a run, so that they run again."""
        self.api.post(
            f"dags/{quote(dag_id)}/clearTaskInstances",
            {
                "dag_run_id": run_id,
                "task_ids": list(task_ids),
                "dry_run": False,
                "only_failed": False,
                "reset_dag_runs": True,
            },
        )

    def wait(
        self, dag_id: str, run_id: str, *, timeout: float, tell: Callable[[dict[str, str | None]], None] | None = None
    ) -> str:
        """Waits for the run's end and returns its state; ``tell`` is called with the task states at every look.

        Raises ``LocalAirflowError`` after ``timeout`` seconds, or when a component has died.
        """

        def ended() -> bool:
            if tell:
                tell(self.task_states(dag_id, run_id))
            return self.run_state(dag_id, run_id) in ("success", "failed")

        self.until(ended, timeout, f"{dag_id} {run_id} has not ended")
        return self.run_state(dag_id, run_id)

    def wait_for_run(self, dag_id: str, *, other_than: tuple[str, ...] = (), timeout: float) -> str:
        """Waits until the DAG has a run that isn't one of ``other_than``, and returns its id (the oldest such
        run's)."""
        found: list[str] = []

        def appeared() -> bool:
            found[:] = [run_id for run_id in self.run_ids(dag_id) if run_id not in other_than]
            return bool(found)

        self.until(appeared, timeout, f"{dag_id} has no new run")
        return found[-1]

    def until(self, condition: Callable[[], bool], timeout: float, complaint: str) -> None:
        """Returns when ``condition`` holds. Raises ``LocalAirflowError`` after ``timeout`` seconds, or when a component
        has ended."""
        deadline = time.monotonic() + timeout
        while not condition():
            self.check_components(complaint)
            if time.monotonic() > deadline:
                raise LocalAirflowError(f"{complaint} after {timeout:.0f} s; see {self.logs}")
            time.sleep(0.25)


def _run(dag_id: str, run_id: str) -> str:
    return f"dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def _log_line(line: Any) -> str:
    """A line of a task's log, with the messages of the exceptions that it tells."""
    if isinstance(line, str):
        return line
    errors = [f"{error['exc_type']}: {error['exc_value']}" for error in line.get("error_detail") or ()]
    return " ".join([line.get("event", ""), *errors])
