"""The doubles of Google's gRPC services."""

from __future__ import annotations

from tests.gcp.service import Service
from tests.gcp.services.cloud_build import CloudBuild
from tests.gcp.services.serving import serving


def all_services() -> list[Service]:
    """A new object for each service, with no state."""
    return [*serving().services, CloudBuild()]
