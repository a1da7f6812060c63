"""ML Metadata, shared by processes that run nodes at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata
from tfx.orchestration.portable.mlmd import context_lib, execution_lib
from tfx.proto.orchestration import pipeline_pb2

from ml.tfx.metadata_places import MetadataPlace


class LockedMetadata(metadata.Metadata):
    """TFX's handle on the store, which at most one process has open at a time.

    TFX's driver and publisher read, decide and write in several transactions: two drivers could register the same type
    or context twice, and SQLite would answer a second writer with "database is locked". They hold it for moments:
    executors run without it.
    """

    def __init__(self, place: MetadataPlace) -> None:
        super().__init__(place.connection())
        self._place = place
        self._lock = place.lock("metadata")
        self._prepared = False
        self._depth = 0

    def __enter__(self) -> LockedMetadata:
        if self._depth == 0:
            self._lock.__enter__()
        self._depth += 1
        try:
            if not self._prepared:
                self._place.prepare()
                self._prepared = True
            super().__enter__()
            self._place.adapt(self.store)
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, *details: Any) -> None:
        try:
            super().__exit__(*details)
        finally:
            self._leave()

    def _leave(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._lock.__exit__(None, None, None)


@dataclass(frozen=True, slots=True)
class NodeExecution:
    """A node's execution in one run. ``state`` is MLMD's: NEW, RUNNING, COMPLETE, FAILED, CACHED, CANCELED."""

    id: int
    state: str

    @property
    def succeeded(self) -> bool:
        return self.state in ("COMPLETE", "CACHED")


def node_execution(store: LockedMetadata, node: pipeline_pb2.PipelineNode) -> NodeExecution | None:
    """The node's newest execution in the run that ``node`` was compiled for; a successful one if there is any."""
    with store as handle:
        contexts = context_lib.prepare_contexts(handle, node.contexts)
        found = execution_lib.get_executions_associated_with_all_contexts(handle, contexts)
    states = metadata_store_pb2.Execution.State
    executions = [NodeExecution(one.id, states.Name(one.last_known_state)) for one in found]
    return max(executions, key=lambda one: (one.succeeded, one.id), default=None)


def run_outputs(store: LockedMetadata, run_id: str) -> dict[str, dict[str, str]]:
    """What the nodes of a run gave, also when from the cache: node id → output key → URI, for those that are done."""
    states = metadata_store_pb2.Execution
    outputs: dict[str, dict[str, str]] = {}
    with store as handle:
        run = handle.store.get_context_by_type_and_name("pipeline_run", run_id)
        if run is None:
            return {}
        for execution in sorted(handle.store.get_executions_by_context(run.id), key=lambda one: int(one.id)):
            if execution.last_known_state not in (states.COMPLETE, states.CACHED):
                continue
            [node] = [c for c in handle.store.get_contexts_by_execution(execution.id) if c.type == "node"]
            keys = {
                event.artifact_id: event.path.steps[0].key
                for event in handle.store.get_events_by_execution_ids([execution.id])
                if event.type == metadata_store_pb2.Event.OUTPUT
            }
            artifacts = handle.store.get_artifacts_by_id(list(keys))
            outputs[node.name.partition(".")[2]] = {keys[artifact.id]: artifact.uri for artifact in artifacts}
    return outputs
