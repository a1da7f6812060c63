"""A cloud with the double of PipelineService, whose tasks end as a test says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.cloud import aiplatform_v1

from tests.gcp.cloud import LoopbackCloud
from tests.gcp.services.pipelines import PipelineService
from tests.gcp.services.pipelines_script import ScriptedExecutor
from tests.gcp.services.spec_samples import pipeline_job
from tests.gcp.vertex_clients import client


class Place:
    """A cloud with the service, and a client of it."""

    def __init__(self, cloud: LoopbackCloud, service: PipelineService, script: ScriptedExecutor) -> None:
        self.cloud, self.service, self.script = cloud, service, script
        self.parent = f"projects/{cloud.project}/locations/{cloud.region}"
        self.client: aiplatform_v1.PipelineServiceClient = client(cloud, aiplatform_v1.PipelineServiceClient)

    def submit(
        self, job: aiplatform_v1.PipelineJob | None = None, *, job_id: str = "first"
    ) -> aiplatform_v1.PipelineJob:
        return self.client.create_pipeline_job(
            parent=self.parent, pipeline_job=job or pipeline_job(), pipeline_job_id=job_id
        )

    def job(self, job_id: str = "first") -> aiplatform_v1.PipelineJob:
        return self.client.get_pipeline_job(name=f"{self.parent}/pipelineJobs/{job_id}")

    def cancel(self, job_id: str = "first") -> None:
        self.client.cancel_pipeline_job(name=f"{self.parent}/pipelineJobs/{job_id}")

    def state(self, job_id: str = "first") -> str:
        return str(self.job(job_id).state.name)

    def tasks(self, job_id: str = "first") -> dict[str, str]:
        return {name: detail.state.name for name, detail in self.details(job_id).items()}

    def details(self, job_id: str = "first") -> dict[str, Any]:
        return {one.task_name: one for one in self.job(job_id).job_detail.task_details if one.task_name != job_id}


@pytest.fixture(scope="module")
def shared_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LoopbackCloud, PipelineService]]:
    service = PipelineService(ScriptedExecutor())
    with LoopbackCloud(tmp_path_factory.mktemp("cloud"), services=[service]) as cloud:
        yield cloud, service


@pytest.fixture
def place(shared_cloud: tuple[LoopbackCloud, PipelineService]) -> Iterator[Place]:
    """The cloud of the module, with a service that knows of nothing."""
    cloud, service = shared_cloud
    script = ScriptedExecutor()
    service.restart(script)
    yield Place(cloud, service, script)
    cloud.permissions.clear()
