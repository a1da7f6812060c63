"""The doubles of Google's gRPC services."""

from __future__ import annotations

from tests.gcp.service import Service
from tests.gcp.services.cloud_build import CloudBuild
from tests.gcp.services.pipelines import PipelineService
from tests.gcp.services.pipelines_containers import ContainerExecutor
from tests.gcp.services.serving import serving


def all_services() -> list[Service]:
    """A new object for each service, with no state. Containers fork from one interpreter that has TFX loaded."""
    return [PipelineService(ContainerExecutor(warm=True)), *serving().services, CloudBuild()]
