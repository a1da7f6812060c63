"""A cloud with Cloud Build, and a task that builds one revision, driven as Airflow drives it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from google.cloud.devtools.cloudbuild_v1 import types
from respan.images import cloud_build
from respan.operators.build_image import BuildImageOperator
from respan.triggers import cloud_build as trigger_module
from respan.triggers.cloud_build import CloudBuildTrigger
from respan.vertex import clearing_up

from tests.dags.git.repositories import Repository
from tests.dags.pipeline_folders import write_pipeline
from tests.gcp.cloud import LoopbackCloud
from tests.gcp.services.cloud_build import CloudBuild
from tests.gcp.triggering import fired

IMAGE = "europe-docker.pkg.dev/respan-test/respan/respan"
BUCKET = "respan-test_cloudbuild"
CODE = {"Dockerfile": "FROM scratch\nCOPY . /app\n", "dags/training.py": "print(1)\n"}
CREATE, LIST = "CloudBuild.CreateBuild", "CloudBuild.ListBuilds"
GET, CANCEL = "CloudBuild.GetBuild", "CloudBuild.CancelBuild"


class Stage:
    """The cloud, its Cloud Build, and a task that builds one revision."""

    def __init__(self, cloud: LoopbackCloud, service: CloudBuild, revision: str) -> None:
        self.cloud, self.service, self.revision = cloud, service, revision

    def operator(self) -> BuildImageOperator:
        return BuildImageOperator(task_id="build_image", pipeline="tried", revision=self.revision)

    def begin(self) -> TaskDeferred:
        """One try, up to where it waits."""
        with pytest.raises(TaskDeferred) as waiting:
            self.operator().execute(self.context)
        return waiting.value

    def attempt(self) -> Any:
        try:
            return self.operator().execute(self.context)
        except TaskDeferred as waiting:
            return getattr(self.operator(), waiting.method_name)(self.context, event=fired(revived(waiting)))

    @property
    def context(self) -> Any:
        return {"run_id": "manual__2026-01-01T00:00:00+00:00"}

    def builds(self) -> list[types.Build]:
        from airflow.providers.google.cloud.hooks.cloud_build import CloudBuildHook

        return list(CloudBuildHook().list_builds(project_id=self.cloud.project, filter_=""))

    def statuses(self) -> list[str]:
        """The builds' states, the newest build's first."""
        return [build.status.name for build in self.builds()]


def revived(waiting: TaskDeferred) -> CloudBuildTrigger:
    """The trigger in the triggerer, which gets it as text; more eager than in production."""
    _, arguments = waiting.trigger.serialize()
    return CloudBuildTrigger(**{**json.loads(json.dumps(arguments)), "poll_seconds": 0.02})


@pytest.fixture
def stage(respan_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """No answer is waited for long, so that DEADLINE is quick; none of a test's faults may be left over."""
    for module in (cloud_build, trigger_module):
        monkeypatch.setattr(module, "CALL_SECONDS", 2.0)
        monkeypatch.setattr(module, "CANCEL_SECONDS", 1.0)
    monkeypatch.setattr(clearing_up, "SECONDS_BETWEEN_TRIES", 0.01)
    repository = Repository(tmp_path / "repository")
    revision = repository.push(CODE)
    image = {"builder": "cloud_build", "repository": IMAGE, "timeout_seconds": 90}
    ci_cd = json.dumps({"remote": str(repository.bare), "image": image})
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path / "pipelines"))
    write_pipeline(tmp_path / "pipelines", "tried", f"kind: image_classification\nci_cd: {ci_cd}\n")
    service = CloudBuild()
    with LoopbackCloud(tmp_path / "cloud", services=[service], buckets=["respan-test", BUCKET]) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        yield Stage(cloud, service, revision)
        assert cloud.faults.pending == []
