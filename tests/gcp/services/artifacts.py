"""Vertex ML Metadata as far as pipelines use it: artifacts that outlive their jobs, and what came of which inputs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import count
from threading import RLock
from typing import Any

import yaml
from google.cloud import aiplatform_v1

from tests.gcp.services.resource_listing import Fields, filtered

_STATE: Any = aiplatform_v1.Artifact.State
_CONTEXT = re.compile(r'in_context\("([^"]*)"\)')


@dataclass
class Artifact:
    """One artifact. ``schema``: its type as in a pipeline's spec; ``contexts``: names of those that it belongs to."""

    name: str
    uri: str
    schema: Mapping[str, Any]
    state: Any = _STATE.PENDING
    metadata: dict[str, Any] = field(default_factory=dict)
    contexts: set[str] = field(default_factory=set)
    created: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    @property
    def title(self) -> str:
        """Title of its schema: ``tfx.Model``."""
        title: str = self.schema.get("schemaTitle", "")
        if "instanceSchema" in self.schema:
            title = (yaml.safe_load(self.schema["instanceSchema"]) or {}).get("title", "")
        return title

    def runtime(self) -> dict[str, Any]:
        """As a container gets it, in the JSON of its executor input."""
        return {"name": self.name, "uri": self.uri, "type": dict(self.schema), "metadata": dict(self.metadata)}

    def message(self) -> aiplatform_v1.Artifact:
        """As the service shows it."""
        return aiplatform_v1.Artifact(
            name=self.name,
            display_name=str(self.metadata.get("name", "")),
            uri=self.uri,
            state=self.state,
            create_time=self.created,
            update_time=self.created,
            schema_title=self.title,
            schema_version="0.0.1",
            metadata=self.metadata,
        )


@dataclass(frozen=True)
class CachedExecution:
    """What an execution gave: output → names of artifacts, and output → value."""

    name: str
    artifacts: Mapping[str, Sequence[str]]
    parameters: Mapping[str, Any]


class MetadataStore:
    """The store of one project and location. Its methods may be called by several threads."""

    def __init__(self, parent: str) -> None:
        """``parent``: ``projects/<number>/locations/<region>``."""
        self.name = f"{parent}/metadataStores/default"
        self._lock = RLock()
        self._ids = count(7_100_000_000_000_000_001)
        self._artifacts: dict[str, Artifact] = {}
        self._executions: dict[str, CachedExecution] = {}

    def context(self, name: str) -> str:
        """The name of the context of a pipeline or a run."""
        return f"{self.name}/contexts/{name}"

    def execution(self) -> str:
        """A new execution's name."""
        with self._lock:
            return f"{self.name}/executions/{next(self._ids)}"

    def create(self, uri: str, schema: Mapping[str, Any], contexts: set[str]) -> Artifact:
        """A new artifact, PENDING until it is published."""
        with self._lock:
            artifact = Artifact(f"{self.name}/artifacts/{next(self._ids)}", uri, schema, contexts=set(contexts))
            self._artifacts[artifact.name] = artifact
            return artifact

    def publish(self, artifact: Artifact, *, uri: str = "", metadata: Mapping[str, Any] | None = None) -> None:
        """It is LIVE from now on, with what its producer says of it."""
        with self._lock:
            artifact.uri = uri or artifact.uri
            artifact.metadata.update(metadata or {})
            artifact.state = _STATE.LIVE

    def discard(self, artifacts: Iterable[Artifact]) -> None:
        """They were not needed."""
        with self._lock:
            for artifact in artifacts:
                del self._artifacts[artifact.name]

    def artifact(self, name: str) -> Artifact | None:
        """The artifact of that name."""
        with self._lock:
            return self._artifacts.get(name)

    def query(self, expression: str, limit: int) -> list[Artifact]:
        """At most ``limit`` artifacts that match the filter, the newest first. Raises ``Refusal``."""
        with self._lock:
            newest = list(reversed(self._artifacts.values()))
            return filtered(newest, _CONTEXT.sub(r'in_context="\1"', expression), _FIELDS)[:limit]

    def remember(self, key: str, execution: CachedExecution) -> None:
        """From now on ``key`` is a hit."""
        with self._lock:
            self._executions[key] = execution

    def cached(self, key: str) -> CachedExecution | None:
        """The newest execution of ``key``."""
        with self._lock:
            return self._executions.get(key)


def _typed(metadata: Mapping[str, Any]) -> dict[str, str]:
    """As filters name it: ``blessed.number_value``."""
    found = {}
    for key, value in metadata.items():
        if isinstance(value, bool):
            found[f"{key}.bool_value"] = str(value).lower()
        elif isinstance(value, (int, float)):
            found[f"{key}.number_value"] = f"{value:g}"
        elif isinstance(value, str):
            found[f"{key}.string_value"] = value
    return found


_FIELDS: Fields = {
    "schema_title": lambda artifact: artifact.title,
    "state": lambda artifact: artifact.state.name,
    "name": lambda artifact: artifact.name,
    "uri": lambda artifact: artifact.uri,
    "metadata": lambda artifact: _typed(artifact.metadata),
    "in_context": lambda artifact: sorted(artifact.contexts),
}
