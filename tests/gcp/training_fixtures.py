"""A pytest plugin: a training run that is ready to be submitted to a cloud."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud.aiplatform_v1 import PipelineJob
from respan.google_credentials import connection_credentials, use_connection

from ml import layout
from ml.home import pipeline_storage
from ml.records import now
from ml.runs import TrainingRun
from ml.storage.credentials import set_credentials
from tests.dags.pipeline_folders import write_pipeline
from tests.gcp.cloud import LoopbackCloud
from tests.gcp.services.pipelines import PipelineService
from tests.gcp.services.pipelines_script import ScriptedExecutor
from tests.gcp.services.spec_samples import pipeline_job
from tests.gcp.training_runs import PIPELINE, RUN, SETTINGS, Runs


@pytest.fixture(scope="session")
def pipelines_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LoopbackCloud, PipelineService]]:
    """One for the process: gRPC reads the authority to trust only once."""
    service = PipelineService(ScriptedExecutor())
    with LoopbackCloud(tmp_path_factory.mktemp("cloud"), services=[service]) as cloud:
        yield cloud, service


@pytest.fixture
def scripted(
    pipelines_cloud: tuple[LoopbackCloud, PipelineService], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[LoopbackCloud, PipelineService, ScriptedExecutor]]:
    """The cloud with a service that knows of nothing, to which this process's clients are led."""
    cloud, service = pipelines_cloud
    service.detach()
    script = ScriptedExecutor()
    service.__init__(script)  # type: ignore[misc]
    service.attach(cloud)
    cloud.calls.clear()
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    set_credentials(lambda: connection_credentials())  # a new one: what another cloud gave is not used again
    yield cloud, service, script
    use_connection()


@pytest.fixture
def runs(
    scripted: tuple[LoopbackCloud, PipelineService, ScriptedExecutor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runs]:
    """A run that was started and is not submitted."""
    cloud, service, script = scripted
    monkeypatch.setenv("RESPAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path / "pipelines"))
    write_pipeline(tmp_path / "pipelines", PIPELINE, SETTINGS)
    storage = pipeline_storage(PIPELINE)
    run = TrainingRun(run=RUN, pipeline=PIPELINE, window=[1], code="c", started=now(), target="vertex")
    storage.write(layout.run(RUN, layout.RUN), run.to_json())
    document = PipelineJob.to_json(pipeline_job()).encode()
    storage.write(layout.run(RUN, layout.VERTEX_JOB), document)
    yield Runs(cloud, service, script)
    cloud.faults.clear()
    cloud.permissions.clear()
