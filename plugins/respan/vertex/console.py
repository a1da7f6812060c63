"""Pages of the Google Cloud console, and the parts of a pipeline job's resource name that they need."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from ml.errors import SettingsError

_CONSOLE = "https://console.cloud.google.com"
_NAME = re.compile(r"projects/(?P<project>[^/]+)/locations/(?P<region>[^/]+)/(?P<kind>[A-Za-z]+)/(?P<id>[^/]+)")


@dataclass(frozen=True, slots=True)
class ResourceName:
    """``projects/<project>/locations/<region>/<kind>/<id>``."""

    project: str
    region: str
    kind: str
    id: str

    @classmethod
    def parse(cls, name: str) -> ResourceName:
        """Raises ``SettingsError`` for anything else."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise SettingsError(f"{name!r} is no resource name of Vertex AI")
        return cls(**found.groupdict())


def job_page(job: str) -> str:
    """The page of a pipeline job, ``job`` its resource name."""
    name = ResourceName.parse(job)
    return f"{_CONSOLE}/vertex-ai/locations/{name.region}/pipelines/runs/{name.id}?project={name.project}"


def log_page(custom_job: str) -> str:
    """The log of a custom job, in which one component ran; ``custom_job`` is its resource name."""
    name = ResourceName.parse(custom_job)
    query = quote(f'resource.type="ml_job"\nresource.labels.job_id="{name.id}"', safe="")
    return f"{_CONSOLE}/logs/query;query={query}?project={name.project}"
