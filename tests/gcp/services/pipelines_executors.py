"""What runs the containers of tasks: how a pipeline's run hands them over, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import grpc

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud

PREEMPTED = "The replica workerpool0-0 was preempted. To find out more about why your job exited please check the logs."


@dataclass(frozen=True)
class Succeeded:
    """``output``: the container's executor output, as JSON; empty where it wrote none."""

    output: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """What the service says of a failure."""

    message: str
    code: grpc.StatusCode = grpc.StatusCode.FAILED_PRECONDITION


@dataclass(frozen=True)
class Cancelled:
    """It was ended before its end."""


Outcome = Succeeded | Failed | Cancelled


@dataclass(eq=False)
class Execution:
    """One execution of a container. ``job``: the pipeline job's resource name; ``custom_job``: that of its own.

    ``inputs``: the executor input, as JSON. ``started`` is called when it runs, then ``ended``, once; both from any
    thread, and maybe from within ``Executor.start``.
    """

    job: str
    task: str
    custom_job: str
    command: list[str]
    inputs: dict[str, Any]
    environment: Mapping[str, str]
    started: Callable[[], None]
    ended: Callable[[Outcome], None]


class Executor(Protocol):
    """Runs executions."""

    def attach(self, cloud: LoopbackCloud) -> None: ...

    def start(self, execution: Execution) -> None:
        """Begin with it, or put it in the line, and return at once."""

    def cancel(self, execution: Execution) -> None:
        """End it soon; ``ended`` is called unless it was before."""

    def polled(self, job: str) -> None:
        """A client has just been told how the job is doing."""

    def fail(self, task: str, message: str = "", *, code: grpc.StatusCode = ..., times: int | None = 1) -> None:
        """Let the next ``times`` executions of ``task`` (None: all) fail without running."""

    def close(self) -> None:
        """End all that runs, and return when it has ended."""


class Failures:
    """Failures that were ordered and wait for their executions."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ordered: list[tuple[str, Failed, int | None]] = []

    def order(self, task: str, failure: Failed, times: int | None) -> None:
        """The next ``times`` executions of ``task`` fail (None: all)."""
        with self._lock:
            self._ordered.append((task, failure, times))

    def take(self, task: str) -> Failed | None:
        """The failure of this execution of ``task``; it counts as one of its times."""
        with self._lock:
            for index, (name, failure, times) in enumerate(self._ordered):
                if name == task:
                    if times == 1:
                        del self._ordered[index]
                    elif times is not None:
                        self._ordered[index] = (name, failure, times - 1)
                    return failure
        return None
