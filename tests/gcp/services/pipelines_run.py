"""A pipeline job while it runs: starts each task when its turn has come, and takes what became of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from threading import Condition
from typing import Any, cast

from google.cloud import aiplatform_v1
from google.rpc import code_pb2, status_pb2

from tests.gcp.service import Refusal
from tests.gcp.services.artifacts import CachedExecution, MetadataStore
from tests.gcp.services.pipelines_executors import Cancelled, Execution, Executor, Failed, Outcome, Succeeded
from tests.gcp.services.pipelines_inputs import artifacts_for, bring, parameters_for, resolve
from tests.gcp.services.pipelines_placeholders import MissingValueError, substitute
from tests.gcp.services.pipelines_plan import Task
from tests.gcp.services.pipelines_tasks import DONE, ENDED, State, TaskRun
from tests.gcp.services.vertex_resources import now

JobState: Any = aiplatform_v1.PipelineState
_FAIL_FAST = aiplatform_v1.PipelineFailurePolicy.PIPELINE_FAILURE_POLICY_FAIL_FAST

#: States that a job never leaves.
JOB_ENDED = frozenset(
    {
        JobState.PIPELINE_STATE_SUCCEEDED,
        JobState.PIPELINE_STATE_FAILED,
        JobState.PIPELINE_STATE_CANCELLED,
    }
)


@dataclass(frozen=True)
class Surroundings:
    """What the runs of a service share. ``number``: of the project; ``ids``: of tasks and jobs; ``lock``: held by
    whoever reads or changes a run, and told when a job ends."""

    project: str
    number: str
    region: str
    store: MetadataStore
    executor: Executor
    lock: Condition
    ids: count[int]


class Run:
    """A job and its tasks. All methods want ``lock`` to be held, but what executors call takes it itself."""

    def __init__(
        self,
        job: aiplatform_v1.PipelineJob,
        pipeline: str,
        tasks: list[Task],
        parameters: Mapping[str, Any],
        around: Surroundings,
        *,
        queued: bool,
    ) -> None:
        """``pipeline``: its name; ``parameters``: their values in force."""
        self.job, self.pipeline, self._around = job, pipeline, around
        self._parameters = parameters
        self._id = job.name.rpartition("/")[2]
        self._contexts = {around.store.context(pipeline), around.store.context(self._id)}
        self._waiting = {task.name: task for task in tasks}
        self._runs: dict[str, TaskRun] = {}
        self._results: deque[tuple[TaskRun, Execution, Outcome]] = deque()
        self._settling = False
        self._root = self._new_run(Task(self._id, {}, {}, {"run": {}}, frozenset()), "system.Run", parent=0)
        self._enter(JobState.PIPELINE_STATE_QUEUED if queued else JobState.PIPELINE_STATE_PENDING)

    @property
    def ended(self) -> bool:
        return self.job.state in JOB_ENDED

    def begin(self) -> None:
        """From PENDING to RUNNING, or out of a pause."""
        self._enter(JobState.PIPELINE_STATE_RUNNING)
        if not self.job.start_time:
            self.job.start_time = self.job.update_time
            self._root.enter(State.RUNNING)
        self._settle()

    def pause(self) -> None:
        """No further task starts."""
        self._enter(JobState.PIPELINE_STATE_PAUSED)

    def cancel(self) -> None:
        """CANCELLING, until all that runs has ended."""
        self._enter(JobState.PIPELINE_STATE_CANCELLING)
        for run in list(self._active()):
            if run.execution is not None:
                run.enter(State.CANCELLING)
                self._around.executor.cancel(run.execution)
        self._settle()

    def _enter(self, state: Any) -> None:
        self.job.state = state
        self.job.update_time = cast("Any", now())

    def _active(self) -> list[TaskRun]:
        return [run for run in self._runs.values() if run.state not in ENDED]

    def _new_run(self, task: Task, schema_title: str, *, parent: int) -> TaskRun:
        created = now()
        detail = aiplatform_v1.PipelineTaskDetail(
            task_id=next(self._around.ids),
            parent_task_id=parent,
            task_name=task.name,
            task_unique_name=f"{self._id}.{task.name}" if parent else task.name,
            create_time=created,
            execution=aiplatform_v1.Execution(
                name=self._around.store.execution(),
                display_name=task.name,
                state=aiplatform_v1.Execution.State.NEW,
                create_time=created,
                schema_title=schema_title,
                schema_version="0.0.1",
            ),
        )
        run = TaskRun(task, detail)
        run.enter(State.PENDING)
        return run

    # Deciding what is next.

    def _settle(self) -> None:
        """Go on until there is nothing to do but wait. An executor that answers at once comes back here."""
        if self._settling:
            return
        self._settling = True
        try:
            while self._step():
                pass
        finally:
            self._settling = False

    def _step(self) -> bool:
        """Whether there was something to do."""
        if self._results:
            self._take(*self._results.popleft())
            return True
        if self.ended:
            return False
        if self.job.state == JobState.PIPELINE_STATE_RUNNING and self._start_next():
            return True
        if self._active() or self.job.state == JobState.PIPELINE_STATE_PAUSED:
            return False
        self._end()
        return True

    def _start_next(self) -> bool:
        states = {name: run.state for name, run in self._runs.items()}
        stop = self.job.runtime_config.failure_policy == _FAIL_FAST and State.FAILED in states.values()
        for task in list(self._waiting.values()):
            if any(states.get(other) in ENDED - DONE for other in task.upstream) or (stop and not self._active()):
                self._begin(task).enter(State.NOT_TRIGGERED)
                return True
            if not stop and all(states.get(other) in DONE for other in task.upstream):
                self._launch(self._begin(task))
                return True
        return False

    def _begin(self, task: Task) -> TaskRun:
        del self._waiting[task.name]
        run = self._new_run(task, task.schema_title, parent=self._root.detail.task_id)
        self._runs[task.name] = run
        return run

    def _end(self) -> None:
        failed = [name for name, run in self._runs.items() if run.state is State.FAILED]
        error: status_pb2.Status | None = None
        if self.job.state == JobState.PIPELINE_STATE_CANCELLING:
            state, task_state = JobState.PIPELINE_STATE_CANCELLED, State.CANCELLED
            error = status_pb2.Status(code=code_pb2.CANCELLED, message="The pipeline job was cancelled.")
        elif failed:
            state, task_state = JobState.PIPELINE_STATE_FAILED, State.FAILED
            error = self._error(failed)
        else:
            state, task_state = JobState.PIPELINE_STATE_SUCCEEDED, State.SUCCEEDED
        self._root.enter(task_state, error)
        self._enter(state)
        self.job.end_time = self.job.update_time
        if error is not None:
            self.job.error = error
        self._around.lock.notify_all()

    def _error(self, failed: list[str]) -> status_pb2.Status:
        number = self._root.detail.task_id
        return status_pb2.Status(
            code=code_pb2.FAILED_PRECONDITION,
            message=f"The DAG failed because some tasks failed. The failed tasks are: [{', '.join(sorted(failed))}].; "
            f"Job (project_id = {self._around.project}, job_id = {number}) is failed due to the above error.; "
            f"Failed to handle the job: {{project_number = {self._around.number}, job_id = {number}}}",
        )

    def told(self) -> aiplatform_v1.PipelineJob:
        """The job as it is now, a copy."""
        runs = [self._root, *self._runs.values()]
        for run in runs:
            run.show()
        self.job.job_detail = aiplatform_v1.PipelineJobDetail(
            pipeline_context=aiplatform_v1.Context(
                name=self._around.store.context(self.pipeline), schema_title="system.Pipeline"
            ),
            pipeline_run_context=aiplatform_v1.Context(
                name=self._around.store.context(self._id),
                schema_title="system.PipelineRun",
                parent_contexts=[self._around.store.context(self.pipeline)],
            ),
            task_details=[run.detail for run in runs],
        )
        return aiplatform_v1.PipelineJob(self.job)

    # Starting a task.

    def _launch(self, run: TaskRun) -> None:
        try:
            run.parameters = parameters_for(run.task, self._parameters, self._runs)
            run.inputs = artifacts_for(run.task, self._runs)
            run.prepare(self._folder(run))
            if "resolver" in run.task.executor:
                resolve(run, self._around.store)
                run.enter(State.SUCCEEDED)
            elif "importer" in run.task.executor:
                bring(run, self._around.store, self._contexts)
                run.enter(State.SUCCEEDED)
            elif run.task.driver is not None:
                self._make_outputs(run)
                self._start(run)
            else:
                self._run_container(run)
        except (MissingValueError, Refusal) as error:
            text = error.message if isinstance(error, Refusal) else f"Unresolved placeholder: {error}."
            run.enter(State.FAILED, status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=text))

    def _folder(self, run: TaskRun) -> str:
        root = self.job.runtime_config.gcs_output_directory.rstrip("/")
        return f"{root}/{self._around.number}/{self._id}/{run.task.name}_{run.detail.task_id}"

    def _run_container(self, run: TaskRun) -> None:
        store = self._around.store
        hit = store.cached(run.cache_key(self.pipeline)) if run.task.caching else None
        if hit is not None:
            store.discard(chain.from_iterable(run.outputs.values()))
            for key, names in hit.artifacts.items():
                run.outputs[key] = [found for found in map(store.artifact, names) if found is not None]
                for artifact in run.outputs[key]:
                    artifact.contexts |= self._contexts
            run.output_parameters = dict(hit.parameters)
            run.enter(State.SKIPPED)
            return
        if not run.outputs:
            self._make_outputs(run)
        run.prepare(self._folder(run))
        run.driven = True
        self._start(run)

    def _make_outputs(self, run: TaskRun) -> None:
        run.outputs = {
            key: [self._around.store.create(f"{self._folder(run)}/{key}", spec["artifactType"], self._contexts)]
            for key, spec in run.task.outputs("artifacts").items()
        }
        run.prepare(self._folder(run))

    def _start(self, run: TaskRun) -> None:
        """Its driver, if it has one that hasn't ended; else its main container."""
        container = run.task.executor["container"] if run.driven else run.task.driver or {}
        names = {
            "pipeline_job_name": self._id,
            "pipeline_job_resource_name": self.job.name,
            "pipeline_job_uuid": str(self._root.detail.task_id),
            "pipeline_root": self.job.runtime_config.gcs_output_directory,
            "pipeline_task_name": run.task.name,
            "pipeline_task_uuid": str(run.detail.task_id),
            "pipeline_google_cloud_location": self._around.region,
        }
        custom_job = (
            f"projects/{self._around.number}/locations/{self._around.region}/customJobs/{next(self._around.ids)}"
        )
        parts = [*container.get("command", []), *container.get("args", [])]
        execution = Execution(
            job=self.job.name,
            task=run.task.name,
            custom_job=custom_job,
            command=[substitute(part, run.executor_input, names) for part in parts],
            inputs=run.executor_input,
            environment={one["name"]: one.get("value", "") for one in container.get("env", [])},
            started=lambda: None,
            ended=lambda _: None,
        )
        execution.started = partial(self._started, run, execution)
        execution.ended = partial(self._ended, run, execution)
        run.execution = execution
        if run.driven:
            run.containers.main_job = custom_job
        else:
            run.containers.pre_caching_check_job = custom_job
        self._around.executor.start(execution)

    # What executors say.

    def _started(self, run: TaskRun, execution: Execution) -> None:
        with self._around.lock:
            if run.execution is execution and run.state is State.PENDING:
                run.enter(State.RUNNING)

    def _ended(self, run: TaskRun, execution: Execution, outcome: Outcome) -> None:
        with self._around.lock:
            self._results.append((run, execution, outcome))
            self._settle()

    def _take(self, run: TaskRun, execution: Execution, outcome: Outcome) -> None:
        if run.execution is not execution:
            return
        run.execution = None
        cancelling = self.job.state == JobState.PIPELINE_STATE_CANCELLING
        if isinstance(outcome, Cancelled) or (cancelling and not run.driven):
            run.enter(State.CANCELLED, status_pb2.Status(code=code_pb2.CANCELLED, message="The task was cancelled."))
        elif isinstance(outcome, Failed):
            self._fail(run, execution, outcome)
        elif run.driven:
            self._succeed(run, outcome)
        else:
            run.parameters |= outcome.output.get("parameterValues", {})
            for artifact, values in run.said_of_outputs(outcome.output):
                artifact.metadata.update(values.get("metadata", {}))
            self._run_container(run)

    def _fail(self, run: TaskRun, execution: Execution, failure: Failed) -> None:
        error = status_pb2.Status(code=failure.code.value[0], message=failure.message)
        if run.attempt >= run.task.retries or self.job.state == JobState.PIPELINE_STATE_CANCELLING:
            run.enter(State.FAILED, error)
            return
        run.attempt += 1
        containers = run.containers
        failed = containers.failed_main_jobs if run.driven else containers.failed_pre_caching_check_jobs
        failed.append(execution.custom_job)
        run.enter(State.PENDING, error)
        self._start(run)

    def _succeed(self, run: TaskRun, outcome: Succeeded) -> None:
        store = self._around.store
        for artifact, values in run.said_of_outputs(outcome.output):
            store.publish(artifact, uri=values.get("uri", ""), metadata=values.get("metadata", {}))
        run.output_parameters = dict(outcome.output.get("parameterValues", {}))
        names = {key: [artifact.name for artifact in artifacts] for key, artifacts in run.outputs.items()}
        store.remember(
            run.cache_key(self.pipeline),
            CachedExecution(run.detail.execution.name, names, run.output_parameters),
        )
        run.enter(State.SUCCEEDED)
