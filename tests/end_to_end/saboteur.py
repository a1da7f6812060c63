"""Kills processes of a running deployment with ``kill -9``, at random moments."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
from respan.failures import RETRIES

from scripts.airflow_runs import AirflowRuns
from tests.end_to_end.deployment import Deployment
from tests.end_to_end.processes import descendants, survivors, warm_commands, warm_processes

#: How many tasks of the loop are sure to be seen at work: some are over too soon.
TASKS_SEEN = 12
#: A kill comes at most this much after the task that it was drawn for was first seen.
LONGEST_DELAY_SECONDS = 4.0
#: How long after its death a service manager starts the scheduler again, at most.
LONGEST_RESTART_SECONDS = 3.0

TASK, SUPERVISOR, WARM = "task", "task's supervisor", "warm process"
SCHEDULER, SCHEDULER_AND_WORKERS = "scheduler", "scheduler and its workers"
TARGETS = (TASK, SUPERVISOR, WARM, SCHEDULER, SCHEDULER_AND_WORKERS)


@dataclass(frozen=True)
class RunningTask:
    """A task whose process runs now. ``id`` is that of this try: Airflow has it in the titles of both processes."""

    id: str
    dag_id: str
    run_id: str
    task_id: str
    process: psutil.Process
    supervisor: psutil.Process

    @property
    def name(self) -> str:
        return f"{self.dag_id} {self.run_id} {self.task_id}"


class Saboteur:
    """Kills each of :data:`TARGETS` once, in an order and at moments that follow from ``seed``.

    A task is hit no more often than it is retried: after that it is meant to wait for a person.

    :ivar done: what was killed, and what the DAGs were at, in order.
    :ivar left_behind: processes that went on working for a task that was killed.
    """

    def __init__(self, deployment: Deployment, dag_ids: Sequence[str], seed: int) -> None:
        self.done: list[str] = []
        self.left_behind: list[str] = []
        self._deployment, self._airflow, self._dag_ids = deployment, deployment.airflow, dag_ids
        self._dice = random.Random(seed)
        self._targets = self._dice.sample(TARGETS, len(TARGETS))
        self._tasks_before = sorted(self._dice.sample(range(1, TASKS_SEEN + 1), len(TARGETS)))
        self._seen: set[str] = set()
        self._at: float | None = None
        self._hits: Counter[str] = Counter()
        self._orphaned_workers: list[psutil.Process] = []

    def look(self) -> None:
        """To be called all the time: kills the next target when its moment has come."""
        if not self._targets:
            return
        running = self._running_tasks()
        self._seen.update(task.name for task in running)
        if self._at is None:
            if len(self._seen) >= self._tasks_before[0]:
                self._at = time.monotonic() + self._dice.uniform(0, LONGEST_DELAY_SECONDS)
            return
        if time.monotonic() < self._at:
            return
        if any(self._hits[task.name] >= RETRIES["retries"] for task in running):
            return
        if self._kill(self._targets[0], running):
            self._targets.pop(0)
            self._tasks_before.pop(0)
            self._at = None

    def stop(self) -> None:
        """Ends workers of schedulers that were killed, which wait for work for ever."""
        for worker in self._orphaned_workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()

    def _kill(self, target: str, running: Sequence[RunningTask]) -> bool:
        """Whether the target was there to be killed."""
        environment = self._airflow.environment
        commands = warm_commands(environment)
        doomed: list[psutil.Process] = []
        hit: Sequence[RunningTask] = running
        if target in (TASK, SUPERVISOR):
            if not running:
                return False
            hit = [self._dice.choice(running)]
            process = hit[0].process
            # With several tasks at work nobody can tell whose command is whose.
            doomed = [process, *descendants(process.pid), *(commands if len(running) == 1 else [])]
            with contextlib.suppress(psutil.NoSuchProcess):
                (process if target == TASK else hit[0].supervisor).kill()
        elif target == WARM:
            warm = warm_processes(environment)
            if not warm:
                return False
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in map(psutil.Process, warm):
                    doomed += [process, *descendants(process.pid)]
                    process.kill()
        elif target == SCHEDULER:
            # Its workers go on; but the next scheduler takes their tasks for orphans and starts another try of each.
            scheduler = psutil.Process(self._airflow.pid("scheduler"))
            self._orphaned_workers += scheduler.children(recursive=True)
            scheduler.kill()
            scheduler.wait()
        else:
            doomed = [*descendants(self._airflow.pid("scheduler")), *commands]
            self._airflow.kill("scheduler")
        self._hits.update(task.name for task in hit)
        self.done.append(f"{target} during {', '.join(task.name for task in running) or 'a pause'}")
        self.left_behind += [f"after killing the {self.done[-1]}: {each}" for each in survivors(doomed)]
        if target in (SCHEDULER, SCHEDULER_AND_WORKERS):
            time.sleep(self._dice.uniform(0, LONGEST_RESTART_SECONDS))
            self._airflow.start_component("scheduler")
        return True

    def _running_tasks(self) -> list[RunningTask]:
        return [
            task
            for dag_id in self._dag_ids
            for run_id in self._airflow.run_ids(dag_id)[:2]
            for task in running_tasks(self._airflow, dag_id, run_id)
        ]


def running_tasks(airflow: AirflowRuns, dag_id: str, run_id: str) -> list[RunningTask]:
    """The run's tasks at work on this machine."""
    found = []
    for task in airflow.task_instances(dag_id, run_id):
        if task["state"] == "running" and task["pid"]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(task["pid"])
                supervisor = process.parent()
                # Else the process has ended, and another one has its number now.
                if supervisor and all(task["id"] in title(each) for each in (process, supervisor)):
                    found.append(RunningTask(task["id"], dag_id, run_id, task["task_id"], process, supervisor))
    return found


def title(process: psutil.Process) -> str:
    return " ".join(process.cmdline())
