"""What a pipeline job on Vertex AI tells of the run's components. The only place that reads Vertex AI's states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from respan.vertex.console import job_page, log_page


class State(str, Enum):
    """How a component is doing, or a whole job."""

    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    #: Taken from Vertex AI's cache.
    CACHED = "cached"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: The job has ended without this component.
    NOT_RUN = "not run"

    @property
    def is_good(self) -> bool:
        return self in (State.SUCCEEDED, State.CACHED)

    @property
    def is_final(self) -> bool:
        return self not in (State.RUNNING, State.PAUSED)


@dataclass(frozen=True, slots=True)
class Report:
    """A component's state, or with ``node`` None that of the whole job, and the job's own.

    Times are in ISO 8601; ``error`` is one line, ``link`` the component's log, or the job's page where it has none.
    ``ending``: the job is being cancelled.
    """

    job: str
    job_state: State
    node: str | None
    state: State
    started: str | None
    ended: str | None
    error: str
    link: str
    ending: bool = False

    @property
    def seconds(self) -> float | None:
        """How long it ran; None where it didn't, or still does."""
        if self.started is None or self.ended is None:
            return None
        return (datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.started)).total_seconds()

    def to_json_dict(self) -> dict[str, Any]:
        """What may be an event of a trigger."""
        return asdict(self) | {"job_state": self.job_state.value, "state": self.state.value}

    @classmethod
    def from_json_dict(cls, document: dict[str, Any]) -> Report:
        states = {key: State(document[key]) for key in ("job_state", "state")}
        return cls(**(document | states))


def report(job: Any, node: str | None = None) -> Report:
    """How ``node`` is doing in ``job``, a ``PipelineJob`` message of protobuf (not of proto-plus)."""
    told = _enum_name(job, "state")
    job_state, ending = _JOB_STATES.get(told, State.RUNNING), told == "PIPELINE_STATE_CANCELLING"
    if node is None:
        error = _one_line(job.error.message) if job_state is State.FAILED else ""
        failed = next(iter(failed_nodes(job)), None)
        if failed:
            error = f"component {failed[0]} failed: {failed[1]}"
        return Report(job.name, job_state, None, job_state, *_times([job]), error, job_page(job.name), ending)
    tasks = [task for name, task in _latest(job).items() if name == node]
    state = _state(tasks, job_state)
    error = "" if state.is_good else _error(job, tasks, state)
    return Report(job.name, job_state, node, state, *_times(tasks), error, _link(job.name, tasks), ending)


def failed_nodes(job: Any) -> Iterator[tuple[str, str]]:
    """Each failed component of ``job``, with its error."""
    for task in job.job_detail.task_details:
        if _task_state(task) == "FAILED" and _is_component(job, task):
            yield task.task_name, _one_line(task.error.message) or "without a message"


def outputs(job: Any) -> dict[str, dict[str, str]]:
    """Component → output → URI of its first artifact, of all components that gave any."""
    found = {
        name: {key: given.artifacts[0].uri for key, given in task.outputs.items() if given.artifacts}
        for name, task in _latest(job).items()
    }
    return {name: uris for name, uris in found.items() if uris}


_JOB_STATES = {
    "PIPELINE_STATE_SUCCEEDED": State.SUCCEEDED,
    "PIPELINE_STATE_FAILED": State.FAILED,
    "PIPELINE_STATE_CANCELLED": State.CANCELLED,
    "PIPELINE_STATE_PAUSED": State.PAUSED,
}


def _state(tasks: list[Any], job_state: State) -> State:
    states = {_task_state(task) for task in tasks}
    if "FAILED" in states:
        return State.FAILED
    if states and states <= {"SUCCEEDED", "SKIPPED"}:
        return State.CACHED if states == {"SKIPPED"} else State.SUCCEEDED
    if not job_state.is_final:
        return job_state
    return State.CANCELLED if job_state is State.CANCELLED else State.NOT_RUN


def _error(job: Any, tasks: list[Any], state: State) -> str:
    if state is State.FAILED:
        told = [_one_line(task.error.message) for task in tasks if _task_state(task) == "FAILED"]
        return next(filter(None, told), "") or "without a message"
    if state is State.NOT_RUN:
        failed = "; ".join(f"component {node} failed: {error}" for node, error in failed_nodes(job))
        return failed or _one_line(job.error.message) or "the job ended without it"
    return ""


def _latest(job: Any) -> dict[str, Any]:
    """The last entry of each task: one that Vertex AI tried again may have several."""
    entries = sorted(job.job_detail.task_details, key=lambda task: task.create_time.ToNanoseconds())
    return {task.task_name: task for task in entries if _is_component(job, task)}


def _is_component(job: Any, task: Any) -> bool:
    """Not so the entry of the pipeline itself, which Vertex AI makes too."""
    names = _names_in_spec(job)
    return not names or task.task_name in names


def _names_in_spec(job: Any) -> set[str]:
    value: Any = job.pipeline_spec
    for key in ("root", "dag", "tasks"):
        if key not in value.fields:
            return set()
        value = value.fields[key].struct_value
    return set(value.fields)


def _times(messages: list[Any]) -> tuple[str | None, str | None]:
    started = [message.start_time for message in messages if message.HasField("start_time")]
    ended = [message.end_time for message in messages if message.HasField("end_time")]
    first = min(started, key=_nanoseconds) if started else None
    last = max(ended, key=_nanoseconds) if ended and len(ended) == len(messages) else None
    return first and _iso(first), last and _iso(last)


def _iso(time: Any) -> str:
    return f"{time.ToDatetime().isoformat(timespec='milliseconds')}+00:00"


def _nanoseconds(time: Any) -> int:
    return int(time.ToNanoseconds())


def _link(job: str, tasks: list[Any]) -> str:
    for task in tasks:
        ran = task.executor_detail.container_detail
        if custom_job := ran.main_job or ran.pre_caching_check_job:
            return log_page(custom_job)
    return job_page(job)


def _task_state(task: Any) -> str:
    return _enum_name(task, "state")


def _enum_name(message: Any, field: str) -> str:
    """Of a value that this version of the client doesn't know, its number."""
    number = getattr(message, field)
    known = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(number)
    return known.name if known else str(number)


def _one_line(text: str) -> str:
    return " ".join(text.split())
