"""What Respan keeps in storage about its use of Vertex AI."""

from __future__ import annotations

from datetime import datetime

from ml.records import Record


class RunOutputs(Record):
    """``runs/<run>/outputs.json``: what the components of a run on Vertex AI gave, component → output → URI.

    Written when the run's pipeline job, ``job`` (its resource name), has succeeded. What is from the cache counts.
    """

    job: str
    outputs: dict[str, dict[str, str]]


class RegisteredModel(Record):
    """``releases/<version>-vertex.json``: the release in Vertex AI's model registry.

    ``model`` is its resource name without a version, ``version_id`` the registry's number of the version, which is not
    Respan's. Written once, when the upload is known to have succeeded.
    """

    model: str
    version_id: str
    registered: datetime

    @property
    def pinned(self) -> str:
        """The name by which exactly this version is predicted with or deployed."""
        return f"{self.model}@{self.version_id}"
