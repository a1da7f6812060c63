"""One task of a pipeline's run: what it is given, what it gives, and how it shows in the job's details."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from google.cloud import aiplatform_v1
from google.rpc import status_pb2

from tests.gcp.services.artifacts import Artifact
from tests.gcp.services.pipelines_executors import Execution
from tests.gcp.services.pipelines_plan import Task
from tests.gcp.services.vertex_resources import now

State: Any = aiplatform_v1.PipelineTaskDetail.State
_ArtifactList = aiplatform_v1.PipelineTaskDetail.ArtifactList

#: States in which a task's outputs are there for others.
DONE = frozenset({State.SUCCEEDED, State.SKIPPED})
ENDED = DONE | {State.FAILED, State.CANCELLED, State.NOT_TRIGGERED}

_EXECUTION_STATES: dict[Any, Any] = {
    State.RUNNING: aiplatform_v1.Execution.State.RUNNING,
    State.SUCCEEDED: aiplatform_v1.Execution.State.COMPLETE,
    State.SKIPPED: aiplatform_v1.Execution.State.CACHED,
    State.FAILED: aiplatform_v1.Execution.State.FAILED,
    State.CANCELLED: aiplatform_v1.Execution.State.CANCELLED,
}


@dataclass
class TaskRun:
    """A task in a run, from the moment that its turn has come."""

    task: Task
    detail: aiplatform_v1.PipelineTaskDetail
    attempt: int = 0
    driven: bool = False
    execution: Execution | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, list[Artifact]] = field(default_factory=dict)
    outputs: dict[str, list[Artifact]] = field(default_factory=dict)
    output_parameters: dict[str, Any] = field(default_factory=dict)
    executor_input: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> Any:
        return self.detail.state

    @property
    def containers(self) -> aiplatform_v1.PipelineTaskExecutorDetail.ContainerDetail:
        """The jobs of its containers."""
        return self.detail.executor_detail.container_detail

    def enter(self, state: Any, error: status_pb2.Status | None = None) -> None:
        """It is in ``state`` from now on."""
        moment: Any = now()
        detail: Any = self.detail
        detail.state = state
        if state is State.RUNNING or (state in ENDED and state is not State.NOT_TRIGGERED and not detail.start_time):
            detail.start_time = moment
        if state in ENDED:
            detail.end_time = moment
            if error is not None:
                detail.error = error
        detail.pipeline_task_status.append(
            aiplatform_v1.PipelineTaskDetail.PipelineTaskStatus(update_time=moment, state=state, error=error)
        )
        if detail.execution and state in _EXECUTION_STATES:
            detail.execution.state = _EXECUTION_STATES[state]
            detail.execution.update_time = moment

    def show(self) -> None:
        """Write what it got and gave into its detail."""
        self.detail.inputs = _shown(self.inputs)
        self.detail.outputs = _shown(self.outputs)
        values = {f"input:{key}": value for key, value in self.parameters.items()}
        values |= {f"output:{key}": value for key, value in self.output_parameters.items()}
        if self.detail.execution:
            self.detail.execution.metadata = cast("Any", values)

    def prepare(self, folder: str) -> None:
        """The executor input: ``folder`` is its own, below the pipeline's root."""
        outputs: dict[str, Any] = {"outputFile": f"{folder}/executor_output.json"}
        if self.outputs:
            outputs["artifacts"] = _runtime(self.outputs)
        if self.task.outputs("parameters"):
            outputs["parameters"] = {key: {"outputFile": f"{folder}/{key}"} for key in self.task.outputs("parameters")}
        inputs: dict[str, Any] = {}
        if self.parameters:
            inputs["parameterValues"] = self.parameters
        if self.inputs:
            inputs["artifacts"] = _runtime(self.inputs)
        self.executor_input = {"inputs": inputs, "outputs": outputs}

    def said_of_outputs(self, output: Mapping[str, Any]) -> Iterator[tuple[Artifact, Mapping[str, Any]]]:
        """Each artifact that it makes, and what an executor's output says of it."""
        said = output.get("artifacts", {})
        for key, artifacts in self.outputs.items():
            yield from zip(artifacts, said.get(key, {}).get("artifacts") or [{}], strict=True)

    def cache_key(self, pipeline: str) -> str:
        """Of two executions with the same key one is enough: of the same pipeline and component, on the same inputs.

        Machines don't matter: https://cloud.google.com/vertex-ai/docs/pipelines/configure-caching
        """
        container = self.task.executor["container"]
        parts = {
            "pipeline": pipeline,
            "outputs": self.task.component.get("outputDefinitions"),
            "container": {key: container.get(key) for key in ("image", "command", "args", "env")},
            "parameters": self.parameters,
            "artifacts": {key: [(one.name, one.uri) for one in values] for key, values in self.inputs.items()},
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _runtime(artifacts: Mapping[str, Sequence[Artifact]]) -> dict[str, Any]:
    return {key: {"artifacts": [one.runtime() for one in values]} for key, values in artifacts.items()}


def _shown(artifacts: Mapping[str, Sequence[Artifact]]) -> dict[str, Any]:
    return {key: _ArtifactList(artifacts=[one.message() for one in values]) for key, values in artifacts.items()}
