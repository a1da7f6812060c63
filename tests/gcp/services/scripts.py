"""What a test tells a double to do with its operations and jobs: hold them, let them go, let them fail."""

from __future__ import annotations

from fnmatch import fnmatchcase
from threading import Condition, Event

import grpc

from tests.gcp.service import Refusal


class Script:
    """The orders for one service. A piece of work has a name, ``"<Method> <last part of the resource's name>"``,
    such as ``"DeployModel respan-digits"``; orders take patterns: ``"DeployModel *"``.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._held: list[str] = []
        self._failures: list[tuple[str, Refusal]] = []
        self._waiting: list[str] = []
        self._closed = False

    def hold(self, work: str = "*") -> None:
        """Work that begins from now on waits at its beginning, until it is released."""
        with self._changed:
            self._held.append(work)

    def release(self, work: str = "*") -> None:
        """Take back the hold that was given with the same pattern; ``"*"``: all of them."""
        with self._changed:
            self._held = [] if work == "*" else [pattern for pattern in self._held if pattern != work]
            self._changed.notify_all()

    def fail(self, work: str, refusal: Refusal) -> None:
        """The next piece of such work fails, once it is not held."""
        with self._changed:
            self._failures.append((work, refusal))

    def wait_until_held(self, work: str, *, seconds: float = 60.0) -> None:
        """Return once such work waits. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: any(fnmatchcase(one, work) for one in self._waiting), seconds):
                raise TimeoutError(f"no {work} waits after {seconds} seconds")

    def begin(self, work: str, cancelled: Event) -> None:
        """For the double: wait while ``work`` is held. Raises the Refusal that was ordered, or CANCELLED."""
        with self._changed:
            self._waiting.append(work)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or cancelled.is_set() or not self._holds(work))
            self._waiting.remove(work)
            if self._closed or cancelled.is_set():
                raise Refusal(grpc.StatusCode.CANCELLED, "The operation was cancelled.")
            for order in self._failures:
                if fnmatchcase(work, order[0]):
                    self._failures.remove(order)
                    raise order[1]

    def cancel(self, cancelled: Event) -> None:
        """For the double: set the event that ``begin`` got, and wake what waits."""
        with self._changed:
            cancelled.set()
            self._changed.notify_all()

    def close(self) -> None:
        """For the double: nothing waits any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _holds(self, work: str) -> bool:
        return any(fnmatchcase(work, pattern) for pattern in self._held)


def preempted() -> Refusal:
    """A machine of a spot VM was taken away."""
    return Refusal(
        grpc.StatusCode.UNAVAILABLE, "The replica workerpool0-0 exited because its Spot VM was preempted: STOCKOUT."
    )


def out_of_quota(metric: str) -> Refusal:
    """The project's quota, such as ``custom_model_serving_cpus``, is used up."""
    return Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f"The following quota metrics exceed quota limits: aiplatform.googleapis.com/{metric}",
    )
