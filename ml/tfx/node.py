"""Runs one node of a run through TFX's own launcher: driver, cache, executor, publisher."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from dataclasses import dataclass

from tfx.dsl.compiler import compiler, constants
from tfx.dsl.io import fileio
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from ml.errors import ComponentError, NotFoundError, RespanError
from ml.home import pipeline_folder
from ml.pipeline_modules import bind_pipeline
from ml.settings import Settings
from ml.tfx.factory import create_pipeline
from ml.tfx.failures import cause
from ml.tfx.metadata import LockedMetadata, node_execution
from ml.tfx.metadata_places import metadata_place
from ml.tfx.run_spec import RunSpec


@dataclass(frozen=True, slots=True)
class NodeResult:
    """How a node went. ``cached``: nothing was executed, since TFX's cache or this very run had its outputs already."""

    node: str
    cached: bool
    execution: int
    seconds: float

    @property
    def state(self) -> str:
        return "cached" if self.cached else "succeeded"


class LocalRun:
    """One run on the local target. Its nodes may run in different processes, some at the same time.

    ``compiled`` is TFX's intermediate representation of it, ``metadata`` the ML Metadata store that it is recorded in.
    """

    def __init__(self, settings: Settings, spec: RunSpec) -> None:
        self._name = settings.name
        self._folder = pipeline_folder(settings.name)
        bind_pipeline(self._name, self._folder)
        self._spec = spec
        self.compiled = compiler.Compiler().compile(create_pipeline(settings, spec))
        runtime_parameter_utils.substitute_runtime_parameter(
            self.compiled, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: spec.run_id}
        )
        self._deployment = runner_utils.extract_local_deployment_config(self.compiled)
        self._place = metadata_place(self._name)
        self.metadata = LockedMetadata(self._place)

    @property
    def nodes(self) -> list[str]:
        """Ids in an order in which they can run."""
        return [node.pipeline_node.node_info.id for node in self.compiled.nodes]

    def run_node(self, node_id: str) -> NodeResult:
        """Runs one node, whose upstream nodes have to be done.

        A repeat after success changes nothing. A repeat after a failure or a kill takes up the same execution and
        starts it over, without what it had written. Two processes with the same node take turns. Raises
        ``ComponentError`` (or the ``RespanError`` that the component raised) with the cause in one line; the stack
        trace is on standard error.
        """
        node = self._node(node_id)
        bind_pipeline(self._name, self._folder)  # a run of another revision may have been compiled since
        started = time.monotonic()
        with self._place.lock(f"{self._spec.run_id}.{node_id}"):
            before = node_execution(self.metadata, node)
            if before is not None and before.succeeded:
                return NodeResult(node_id, True, before.id, time.monotonic() - started)
            self._check_upstream(node)
            if before is not None:
                self._clear(node_id, before.id)
            with contextlib.redirect_stdout(sys.stderr):  # standard output is for the command's result
                self._launch(node_id, node)
            after = node_execution(self.metadata, node)
        if after is None or not after.succeeded:
            raise ComponentError(f"{node_id} could not start: its inputs are not there; see the log above")
        return NodeResult(node_id, after.state == "CACHED", after.id, time.monotonic() - started)

    def _check_upstream(self, node: pipeline_pb2.PipelineNode) -> None:
        """TFX's launcher looks at inputs alone, and would let Transform run past a failed ExampleValidator."""
        for upstream in sorted(node.upstream_nodes):
            done = node_execution(self.metadata, self._node(upstream))
            if done is None or not done.succeeded:
                raise ComponentError(f"{node.node_info.id} waits for {upstream}, which is not done in this run")

    def _launch(self, node_id: str, node: pipeline_pb2.PipelineNode) -> None:
        try:
            launcher.Launcher(
                pipeline_node=node,
                mlmd_connection=self.metadata,
                pipeline_info=self.compiled.pipeline_info,
                pipeline_runtime_spec=self.compiled.runtime_spec,
                executor_spec=runner_utils.extract_executor_spec(self._deployment, node_id),
                custom_driver_spec=runner_utils.extract_custom_driver_spec(self._deployment, node_id),
            ).launch()
        except RespanError:
            raise
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            raise ComponentError(f"{node_id} failed: {cause(error)}") from error

    def _node(self, node_id: str) -> pipeline_pb2.PipelineNode:
        for node in self.compiled.nodes:
            if node.pipeline_node.node_info.id == node_id:
                return node.pipeline_node
        raise NotFoundError(f"pipeline {self._name} has no node {node_id!r}; it has: {', '.join(self.nodes)}")

    def _clear(self, node_id: str, execution: int) -> None:
        """Deletes what an attempt that was killed left in its output folders: components would read it as theirs."""
        folder = f"{self._spec.pipeline_root}/{node_id}"
        state = f"{folder}/.system/executor_execution/{execution}"
        for leftover in [*fileio.glob(f"{folder}/*/{execution}"), *fileio.glob(state)]:
            fileio.rmtree(leftover)
