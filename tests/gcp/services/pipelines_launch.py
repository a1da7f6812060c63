"""Starting a task of a pipeline's run: its inputs, the cache, and what its container is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from threading import Condition
from typing import Any

from google.cloud import aiplatform_v1
from google.rpc import code_pb2, status_pb2

from tests.gcp.service import Refusal
from tests.gcp.services.artifacts import CachedExecution, MetadataStore
from tests.gcp.services.pipelines_executors import Execution, Executor, Outcome, Succeeded
from tests.gcp.services.pipelines_inputs import artifacts_for, bring, parameters_for, resolve
from tests.gcp.services.pipelines_placeholders import MissingValueError, substitute
from tests.gcp.services.pipelines_tasks import State, TaskRun


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


class Launcher:
    """Starts the tasks of one job; ``ended`` is called with what became of each container, from any thread."""

    def __init__(
        self,
        job: aiplatform_v1.PipelineJob,
        pipeline: str,
        number: int,
        parameters: Mapping[str, Any],
        runs: Mapping[str, TaskRun],
        around: Surroundings,
        ended: Callable[[TaskRun, Execution, Outcome], None],
    ) -> None:
        """``number``: the job's; ``parameters``: the pipeline's, as they are in force; ``runs``: the tasks so far."""
        self._job, self._pipeline, self._number = job, pipeline, number
        self._parameters, self._runs, self._around, self._ended = parameters, runs, around, ended
        self._id = job.name.rpartition("/")[2]
        self._contexts = {around.store.context(pipeline), around.store.context(self._id)}

    def launch(self, run: TaskRun) -> None:
        """Begin with a task whose turn has come."""
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
                self.start(run)
            else:
                self._run_container(run)
        except (MissingValueError, Refusal) as error:
            text = error.message if isinstance(error, Refusal) else f"Unresolved placeholder: {error}."
            run.enter(State.FAILED, status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=text))

    def _folder(self, run: TaskRun) -> str:
        root = self._job.runtime_config.gcs_output_directory.rstrip("/")
        return f"{root}/{self._around.number}/{self._id}/{run.task.name}_{run.detail.task_id}"

    def _run_container(self, run: TaskRun) -> None:
        store = self._around.store
        hit = store.cached(run.cache_key(self._pipeline)) if run.task.caching else None
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
        self.start(run)

    def _make_outputs(self, run: TaskRun) -> None:
        run.outputs = {
            key: [self._around.store.create(f"{self._folder(run)}/{key}", spec["artifactType"], self._contexts)]
            for key, spec in run.task.outputs("artifacts").items()
        }
        run.prepare(self._folder(run))

    def start(self, run: TaskRun) -> None:
        """Its driver, if it has one that hasn't ended; else its main container."""
        container = run.task.executor["container"] if run.driven else run.task.driver or {}
        names = {
            "pipeline_job_name": self._id,
            "pipeline_job_resource_name": self._job.name,
            "pipeline_job_uuid": str(self._number),
            "pipeline_root": self._job.runtime_config.gcs_output_directory,
            "pipeline_task_name": run.task.name,
            "pipeline_task_uuid": str(run.detail.task_id),
            "pipeline_google_cloud_location": self._around.region,
        }
        custom_job = (
            f"projects/{self._around.number}/locations/{self._around.region}/customJobs/{next(self._around.ids)}"
        )
        parts = [*container.get("command", []), *container.get("args", [])]
        execution = Execution(
            job=self._job.name,
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

    def _started(self, run: TaskRun, execution: Execution) -> None:
        with self._around.lock:
            if run.execution is execution and run.state is State.PENDING:
                run.enter(State.RUNNING)

    def go_on(self, run: TaskRun, driven: Succeeded) -> None:
        """After the driver: what it said is part of the inputs, and of the cache's key."""
        run.parameters |= driven.output.get("parameterValues", {})
        for artifact, values in run.said_of_outputs(driven.output):
            artifact.metadata.update(values.get("metadata", {}))
        self._run_container(run)

    def publish(self, run: TaskRun, outcome: Succeeded) -> None:
        """What a container gave is there for others, and for the cache."""
        store = self._around.store
        for artifact, values in run.said_of_outputs(outcome.output):
            store.publish(artifact, uri=values.get("uri", ""), metadata=values.get("metadata", {}))
        run.output_parameters = dict(outcome.output.get("parameterValues", {}))
        names = {key: [artifact.name for artifact in artifacts] for key, artifacts in run.outputs.items()}
        store.remember(
            run.cache_key(self._pipeline),
            CachedExecution(run.detail.execution.name, names, run.output_parameters),
        )
