"""A pipeline job while it runs: starts each task when its turn has come, and takes what became of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, cast

from google.cloud import aiplatform_v1
from google.rpc import code_pb2, status_pb2

from tests.gcp.services.pipelines_executors import Cancelled, Execution, Failed, Outcome
from tests.gcp.services.pipelines_launch import Launcher, Surroundings
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
        self._id = job.name.rpartition("/")[2]
        self._waiting = {task.name: task for task in tasks}
        self._runs: dict[str, TaskRun] = {}
        self._results: deque[tuple[TaskRun, Execution, Outcome]] = deque()
        self._settling = False
        self._root = self._new_run(Task(self._id, {}, {}, {"run": {}}, frozenset()), "system.Run", parent=0)
        number = self._root.detail.task_id
        self._launcher = Launcher(job, pipeline, number, parameters, self._runs, around, self._ended)
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
                self._launcher.launch(self._begin(task))
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

    # What became of a task.

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
            self._launcher.publish(run, outcome)
            run.enter(State.SUCCEEDED)
        else:
            self._launcher.go_on(run, outcome)

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
        self._launcher.start(run)
