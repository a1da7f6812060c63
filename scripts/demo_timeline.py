"""The demo's live view: what happens now, line by line, and the runs and tasks of Airflow as they change."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from scripts.airflow_api import ApiError
from scripts.airflow_runs import AirflowRuns

_MARKS = {"running": "▶", "deferred": "…", "success": "✓", "failed": "✗", "up_for_retry": "↻", "upstream_failed": "✗"}
_LAST_LINES = 15
_LOOK_SECONDS = 1.0


class DemoError(Exception):
    """The demo can't go on. The message may have several lines: where it failed, and what the log says."""


class Timeline:
    """Prints to standard output, each line with the seconds since the start."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def headline(self, text: str) -> None:
        self._print(f"\n{self.seconds():6.1f} s  {text}")

    def line(self, text: str) -> None:
        self._print(f"{self.seconds():6.1f} s    {text}")

    def plain(self, text: str = "") -> None:
        self._print(text)

    @staticmethod
    def _print(text: str) -> None:
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        sys.stdout.flush()


class Watcher:
    """Follows the runs of some DAGs through Airflow's API and tells each change of a task's state."""

    def __init__(self, airflow: AirflowRuns, dag_ids: Sequence[str], timeline: Timeline) -> None:
        self._airflow, self._dag_ids, self._timeline = airflow, dag_ids, timeline
        #: DAGs whose runs may fail without ending the demo.
        self.may_fail: Sequence[str] = ()
        self._told: dict[tuple[str, str, str, int], str] = {}
        self._ended: dict[str, dict[str, str]] = {dag_id: {} for dag_id in dag_ids}

    def succeeded(self, dag_id: str) -> list[str]:
        """The ids of the DAG's runs that have succeeded, in the order of their end."""
        return [run_id for run_id, state in self._ended[dag_id].items() if state == "success"]

    def ended(self, dag_id: str) -> list[str]:
        """The ids of the DAG's runs that have ended, however, in that order."""
        return list(self._ended[dag_id])

    def until(self, condition: Callable[[], bool], *, what: str, timeout: float) -> None:
        """Looks about once a second until ``condition`` holds.

        Raises ``DemoError`` when a run fails that may not, telling the task and the end of its log, or after
        ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            self._airflow.check_components()
            self._look()
            if condition():
                return
            if time.monotonic() > deadline:
                raise DemoError(f"{what} took more than {timeout:.0f} s; Airflow's logs: {self._logs()}")
            time.sleep(_LOOK_SECONDS)

    def _look(self) -> None:
        for dag_id in self._dag_ids:
            for run_id in reversed(self._airflow.run_ids(dag_id)):
                if run_id in self._ended[dag_id]:
                    continue
                state = self._airflow.run_state(dag_id, run_id)
                for task in sorted(self._airflow.task_instances(dag_id, run_id), key=_started):
                    self._tell(dag_id, run_id, task)
                if state in ("success", "failed"):
                    self._ended[dag_id][run_id] = state
                if state == "failed" and dag_id not in self.may_fail:
                    raise DemoError(self._told_failure(dag_id, run_id))

    def _tell(self, dag_id: str, run_id: str, task: dict[str, Any]) -> None:
        state = task["state"]
        key = (dag_id, run_id, task["task_id"], task["try_number"])
        if state not in _MARKS or self._told.get(key) == state:
            return
        self._told[key] = state
        seconds = f"{task['duration']:5.1f} s" if state == "success" and task["duration"] is not None else state
        stage = dag_id.rsplit(".", 1)[-1]
        self._timeline.line(f"{stage:<11} {_MARKS[state]} {task['task_id']:<34} {seconds}")

    def _told_failure(self, dag_id: str, run_id: str) -> str:
        failed = [task for task in self._airflow.task_instances(dag_id, run_id) if task["state"] == "failed"]
        lines = [f"{dag_id}, run {run_id}, failed"]
        for task in sorted(failed, key=_started)[:1]:
            try:
                log = self._airflow.task_log(dag_id, run_id, task["task_id"], try_number=task["try_number"])
            except ApiError as error:
                log = f"(no log: {error})"
            lines.append(f"task {task['task_id']}; the end of its log:")
            lines += [f"    {line}" for line in log.splitlines()[-_LAST_LINES:]]
        return "\n".join([*lines, f"logs: {self._logs()}/dag_id={dag_id}/run_id={run_id}"])

    def _logs(self) -> str:
        return str(self._airflow.logs)


def _started(task: dict[str, Any]) -> str:
    return task["start_date"] or "9"
