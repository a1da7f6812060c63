"""Jobs of Vertex AI: their states, and the thread that takes one from QUEUED to its end."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from threading import Event, RLock, Thread
from typing import TYPE_CHECKING, Any

from google.cloud.aiplatform_v1.types import JobState
from google.rpc import code_pb2, status_pb2

from tests.gcp.service import Refusal
from tests.gcp.services.scripts import Script
from tests.gcp.services.vertex_resources import canonical, failed_precondition, last, not_found, now

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud

ENDED = frozenset(
    {
        JobState.JOB_STATE_SUCCEEDED,
        JobState.JOB_STATE_PARTIALLY_SUCCEEDED,
        JobState.JOB_STATE_FAILED,
        JobState.JOB_STATE_CANCELLED,
    }
)


class Run:
    """A job and what runs for it. ``stop`` is called when it is cancelled, once there is something to stop."""

    def __init__(self, job: Any) -> None:
        self.job = job
        self.cancelled = Event()
        self.stop: Callable[[], None] | None = None
        self.thread: Thread | None = None


class Jobs:
    """The jobs of one kind. ``kind`` is their collection in names, such as ``batchPredictionJobs``.

    A ``Script`` may hold or fail each at two points: ``"Start <display name>"`` (PENDING) and ``"Run <display name>"``
    (RUNNING).
    """

    def __init__(self, kind: str, script: Script) -> None:
        self._kind, self._script = kind, script
        self.lock = RLock()
        self._runs: dict[str, Run] = {}

    def attach(self, cloud: LoopbackCloud) -> None:
        self._cloud = cloud

    def detach(self) -> None:
        """Cancels all that run, and waits for their ends."""
        self._script.close()
        with self.lock:
            runs = list(self._runs.values())
        for run in runs:
            self._stop(run)
            if run.thread is not None:
                run.thread.join()

    def add(self, parent: str, job: Any, work: Callable[[Run], JobState]) -> Any:
        """A copy of the new job, QUEUED, made of ``job``. ``work`` gives its last state, or raises Refusal."""
        job = type(job)(job)
        job.name = f"{canonical(self._cloud, parent + '/')}{self._kind}/{secrets.randbelow(10**18) + 10**18}"
        job.state = JobState.JOB_STATE_QUEUED
        job.create_time = job.update_time = now()
        run = Run(job)
        run.thread = Thread(target=self._run, args=(run, work), name=job.name)
        with self.lock:
            self._runs[job.name] = run
            copy = type(job)(job)
        run.thread.start()
        return copy

    def get(self, name: str) -> Any:
        """A copy of a job. Raises Refusal."""
        with self.lock:
            job = self._find(name).job
            return type(job)(job)

    def below(self, parent: str) -> Iterator[Any]:
        """Copies of a location's jobs, the newest first."""
        start = canonical(self._cloud, parent + "/")
        with self.lock:
            return iter(
                [type(run.job)(run.job) for name, run in reversed(self._runs.items()) if name.startswith(start)]
            )

    def cancel(self, name: str) -> None:
        """Begins to cancel a job. Raises Refusal."""
        with self.lock:
            run = self._find(name)
            if run.job.state in ENDED:
                raise failed_precondition(
                    f"The job {run.job.name} is in state {run.job.state.name}: it can't be cancelled."
                )
            self._enter(run, JobState.JOB_STATE_CANCELLING)
        self._stop(run)

    def forget(self, name: str) -> str:
        """Deletes a job that has ended; its name. Raises Refusal."""
        with self.lock:
            run = self._find(name)
            if run.job.state not in ENDED:
                raise failed_precondition(f"The job {run.job.name} is in state {run.job.state.name}: cancel it first.")
            del self._runs[run.job.name]
            return str(run.job.name)

    def _find(self, name: str) -> Run:
        run = self._runs.get(canonical(self._cloud, name))
        if run is None:
            raise not_found(f"The {self._kind[0].upper()}{self._kind[1:-1]} does not exist: {last(name)}.")
        return run

    def _stop(self, run: Run) -> None:
        self._script.cancel(run.cancelled)
        with self.lock:
            stop = run.stop
        if stop is not None:
            stop()

    def on_cancel(self, run: Run, stop: Callable[[], None]) -> None:
        """For ``work``: what ends it. Called at once where the job is being cancelled already."""
        with self.lock:
            run.stop = stop
        if run.cancelled.is_set():
            stop()

    def _run(self, run: Run, work: Callable[[Run], JobState]) -> None:
        try:
            self._enter(run, JobState.JOB_STATE_PENDING)
            self._script.begin(f"Start {run.job.display_name}", run.cancelled)
            with self.lock:
                run.job.start_time = now()
                self._enter(run, JobState.JOB_STATE_RUNNING)
            self._script.begin(f"Run {run.job.display_name}", run.cancelled)
            ended = work(run)
        except Refusal as refusal:
            ended = self._failed(run, refusal.code.value[0], refusal.message)
        except Exception as error:
            ended = self._failed(run, code_pb2.INTERNAL, f"{type(error).__name__}: {error}")
        with self.lock:
            run.job.end_time = now()
            run.job.state = JobState.JOB_STATE_CANCELLED if run.cancelled.is_set() else ended
            run.job.update_time = now()

    def _failed(self, run: Run, code: int, message: str) -> JobState:
        if not run.cancelled.is_set():
            with self.lock:
                run.job.error = status_pb2.Status(code=code, message=message)
        return JobState.JOB_STATE_FAILED

    def _enter(self, run: Run, state: JobState) -> None:
        with self.lock:
            if run.job.state != JobState.JOB_STATE_CANCELLING:
                run.job.state, run.job.update_time = state, now()
