"""What a task does with the run's newest job: follow it, or start the run's next attempt."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from respan.vertex.job_report import Report, State, report
from respan.vertex.training_run import VertexRun


@dataclass(frozen=True, slots=True)
class Seen:
    """What a task remembers in Airflow's task state store.

    ``job``: the job that it mirrored; ``tries``: the task's ``max_tries`` then, which only clearing the task raises, a
    retry doesn't; ``waiting``: whether it has not been told the end of it.
    """

    job: str
    tries: int
    waiting: bool

    def to_json_dict(self) -> dict[str, Any]:
        return asdict(self)


class Step(Enum):
    #: Take what the job says, now or when it says it.
    MIRROR = "mirror"
    #: Wait until the job has ended, then start the next attempt.
    AGAIN_AFTER_END = "again after its end"
    #: Start the next attempt. The job has ended, or is being cancelled.
    AGAIN = "again"


def next_step(report: Report, seen: Seen | None, tries: int) -> Step:
    """What to do about ``report``, which is of the run's newest job, for a task that begins.

    The component runs again if somebody cleared the task since it mirrored this very job; whatever else makes a task
    begin (a retry, a worker that died, another task's new attempt) changes nothing.
    A task that was cleared while it waited has cancelled the job, or its trigger is about to.
    """
    if seen is None or seen.job != report.job or tries <= seen.tries:
        return Step.MIRROR
    if report.state.is_good or report.job_state is State.SUCCEEDED:
        return Step.MIRROR
    if report.job_state.is_final or report.ending or seen.waiting:
        return Step.AGAIN
    return Step.AGAIN_AFTER_END if report.state.is_final else Step.MIRROR


_KEY = "mirrored"


def remembered(context: Any) -> Seen | None:
    """What this task remembers, in whatever try; None where it remembers nothing, or can't."""
    store = context.get("task_state_store")
    document = store.get(_KEY) if store is not None else None
    return Seen(**document) if document else None


def remember(context: Any, job: str, *, waiting: bool) -> None:
    """Keeps it for this task's next try."""
    store = context.get("task_state_store")
    if store is not None:
        store.set(_KEY, Seen(job, context["ti"].max_tries, waiting).to_json_dict())


def submitted(context: Any, run: VertexRun) -> str:
    """The resource name of the run's newest job, for the task that starts the run: its first call submits it.

    A retry finds the job. Where the task was cleared since, and the job had failed or is cancelled, the next attempt is
    submitted.
    """
    seen = remembered(context)
    if seen is None:
        run.submit(1)
    attempt, job = run.newest()
    if next_step(report(job), seen, context["ti"].max_tries) is Step.AGAIN:
        run.submit(attempt + 1)
        _, job = run.newest()
    remember(context, job.name, waiting=False)
    return str(job.name)
