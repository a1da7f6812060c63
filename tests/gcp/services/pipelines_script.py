"""Pipelines without containers: each task ends when, and as, a test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Condition
from typing import TYPE_CHECKING, Any

import grpc

from tests.gcp.services.pipelines_executors import (
    PREEMPTED,
    Cancelled,
    Execution,
    Failed,
    Failures,
    Outcome,
    Succeeded,
)

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud


@dataclass
class _Running:
    execution: Execution
    polls: int | None


class ScriptedExecutor:
    """Runs nothing. An execution succeeds at once, unless a test said otherwise before or while it runs.

    All methods name tasks as the pipeline's spec does, and hold for every job; those with ``job`` can be told one, by
    the end of its resource name.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._failures = Failures()
        self._held: set[str] = set()
        self._holds_cancelled = False
        self._slow: dict[str, int] = {}
        self._outputs: dict[tuple[str, str], dict[str, Any]] = {}
        self._running: list[_Running] = []
        self._cancelling: list[Execution] = []
        #: (end of the job's name, task) of every execution, in the order of their starts.
        self.executions: list[tuple[str, str]] = []

    # What is to happen.

    def hold(self, *tasks: str) -> None:
        """From now on these stay RUNNING, until ``finish``, ``fail`` or ``preempt`` says how they end."""
        with self._changed:
            self._held.update(tasks)

    def finish(self, task: str, *, job: str = "") -> None:
        """``task`` is no longer held: it succeeds now where it runs, and at once where it has yet to start."""
        self._end_held(task, job, Succeeded())

    def fail(
        self,
        task: str,
        message: str = "",
        *,
        code: grpc.StatusCode = grpc.StatusCode.FAILED_PRECONDITION,
        times: int | None = 1,
        job: str = "",
    ) -> None:
        """``task`` fails now where it is held and runs; otherwise its next ``times`` executions fail (None: all).

        Either way it is no longer held. A pipeline that retries it starts the next execution at once.
        """
        failure = Failed(message or f"The replica workerpool0-0 of {task} exited with a non-zero status of 1.", code)
        if not self._end_held(task, job, failure):
            self._failures.order(task, failure, times)
        elif times is None or times > 1:
            self._failures.order(task, failure, None if times is None else times - 1)

    def preempt(self, task: str, *, times: int | None = 1, job: str = "") -> None:
        """``fail`` as when the machine is taken away."""
        self.fail(task, PREEMPTED, code=grpc.StatusCode.UNAVAILABLE, times=times, job=job)

    def slow(self, task: str, polls: int) -> None:
        """Each execution of ``task`` ends when ``polls`` answers to GetPipelineJob have shown it RUNNING."""
        with self._changed:
            self._slow[task] = polls

    def output(self, task: str, key: str, metadata: Mapping[str, Any], *, uri: str = "") -> None:
        """What ``task`` says of its output ``key`` when it succeeds.

        ``output("Evaluator", "blessing", {"blessed": 1})`` blesses. ``uri``: where it is, in place of where the service
        told the task to put it.
        """
        with self._changed:
            self._outputs[task, key] = {"metadata": dict(metadata)} | ({"uri": uri} if uri else {})

    def hold_cancelled(self) -> None:
        """From now on a cancelled job stays CANCELLING, until ``finish_cancelled``."""
        with self._changed:
            self._holds_cancelled = True

    def finish_cancelled(self) -> None:
        """What was cancelled has ended, and what will be ends at once."""
        with self._changed:
            self._holds_cancelled = False
            waiting, self._cancelling = self._cancelling, []
        for execution in waiting:
            execution.ended(Cancelled())

    def running(self, *, job: str = "") -> list[str]:
        """The tasks that run."""
        with self._changed:
            return [one.execution.task for one in self._running if one.execution.job.endswith(job)]

    def wait_for(self, task: str, *, seconds: float = 60.0) -> None:
        """Return when ``task`` runs. Raises TimeoutError."""

        def runs() -> bool:
            return any(one.execution.task == task for one in self._running)

        with self._changed:
            if not self._changed.wait_for(runs, seconds):
                raise TimeoutError(f"{task} does not run after {seconds} seconds")

    # What the service calls.

    def attach(self, cloud: LoopbackCloud) -> None:
        """Nothing of the cloud is needed."""

    def start(self, execution: Execution) -> None:
        with self._changed:
            self.executions.append((execution.job.rpartition("/")[2], execution.task))
        execution.started()
        failure = self._failures.take(execution.task)
        with self._changed:
            polls = self._slow.get(execution.task)
            waits = execution.task in self._held or polls
            if failure is None and waits:
                self._running.append(_Running(execution, None if execution.task in self._held else polls))
                self._changed.notify_all()
                return
        execution.ended(failure or self._succeeded(execution.task))

    def cancel(self, execution: Execution) -> None:
        with self._changed:
            self._running = [one for one in self._running if one.execution is not execution]
            if self._holds_cancelled:
                self._cancelling.append(execution)
                return
        execution.ended(Cancelled())

    def polled(self, job: str) -> None:
        with self._changed:
            for one in self._running:
                if one.execution.job == job and one.polls is not None:
                    one.polls -= 1
        for execution in self._take(lambda one: one.polls == 0):
            execution.ended(self._succeeded(execution.task))

    def close(self) -> None:
        self.finish_cancelled()
        for execution in self._take(lambda one: True):
            execution.ended(Cancelled())

    def _end_held(self, task: str, job: str, outcome: Outcome) -> bool:
        """Whether there was an execution to end."""
        with self._changed:
            self._held.discard(task)
        ended = self._take(lambda one: one.execution.task == task and one.execution.job.endswith(job))
        for execution in ended:
            execution.ended(self._succeeded(task) if isinstance(outcome, Succeeded) else outcome)
        return bool(ended)

    def _take(self, chosen: Callable[[_Running], bool]) -> list[Execution]:
        with self._changed:
            taken = [one for one in self._running if chosen(one)]
            self._running = [one for one in self._running if one not in taken]
        return [one.execution for one in taken]

    def _succeeded(self, task: str) -> Succeeded:
        with self._changed:
            found = {key: {"artifacts": [value]} for (name, key), value in self._outputs.items() if name == task}
        return Succeeded({"artifacts": found} if found else {})
