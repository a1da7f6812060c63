"""The task that has Cloud Build make an image: one build, awaited in the triggerer, cancelled with the task."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from google.cloud.devtools.cloudbuild_v1 import types
from google.protobuf import duration_pb2
from respan.images import cloud_build
from respan.operators.build_image import BuildImageOperator
from respan.triggers import cloud_build as trigger_module
from respan.triggers.cloud_build import CloudBuildTrigger

from tests.dags.git.repositories import Repository
from tests.dags.pipeline_folders import write_pipeline
from tests.gcp.cloud import LoopbackCloud
from tests.gcp.faults import Fault
from tests.gcp.services.cloud_build import CloudBuild
from tests.gcp.services.scripts import preempted

IMAGE = "europe-docker.pkg.dev/respan-test/respan/respan"
BUCKET = "respan-test_cloudbuild"
CODE = {"Dockerfile": "FROM scratch\nCOPY . /app\n", "dags/training.py": "print(1)\n"}
CREATE, LIST = "CloudBuild.CreateBuild", "CloudBuild.ListBuilds"
GET, CANCEL = "CloudBuild.GetBuild", "CloudBuild.CancelBuild"
PASSING = [Fault.UNAVAILABLE, Fault.RATE_LIMIT, Fault.QUOTA, Fault.DEADLINE, Fault.DROPPED, Fault.SLOW(0.1)]
LASTING = [(Fault.PERMISSION_DENIED, "grant the connection's account"), (Fault.INVALID_ARGUMENT, "mend what it names")]


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


def fired(trigger: CloudBuildTrigger) -> Any:
    async def run() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (payload,) = asyncio.run(run())
    return payload


@pytest.fixture
def stage(respan_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    for module in (cloud_build, trigger_module):
        monkeypatch.setattr(module, "CALL_SECONDS", 2.0)
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


def test_the_request_has_source_step_tags_and_time(stage: Stage) -> None:
    stage.attempt()
    (create,) = [call.request for call in stage.cloud.calls.of(CREATE)]
    assert create.project_id == stage.cloud.project
    assert create.parent == f"projects/{stage.cloud.project}/locations/global"
    build = create.build
    (step,) = build.steps
    assert step.name == "gcr.io/cloud-builders/docker"
    assert build.images[0] == f"{IMAGE}:{stage.revision}"
    assert build.source.storage_source.bucket == BUCKET
    blob = stage.cloud.storage_client().bucket(BUCKET).get_blob(build.source.storage_source.object_)
    assert blob is not None
    assert types.Build.pb(build).timeout == duration_pb2.Duration(seconds=90)
    (listed,) = [call.request for call in stage.cloud.calls.of(LIST)][:1]
    assert (listed.project_id, listed.filter) == (stage.cloud.project, f'tags="{build.tags[0]}"')


def test_the_image_is_named_by_its_digest_and_found_again(stage: Stage) -> None:
    built = stage.attempt()
    assert built["image"].startswith(f"{IMAGE}@sha256:")
    assert stage.attempt() == {**built, "reused": True}
    assert stage.statuses() == ["SUCCESS"]


@pytest.mark.parametrize("call", [LIST, CREATE, GET])
def test_after_each_fault_that_passes_there_is_one_build(stage: Stage, call: str) -> None:
    for fault in PASSING:
        stage.cloud.faults.add(call, fault)
    for _ in PASSING:
        try:
            stage.attempt()
            break
        except AirflowFailException:
            raise
        except AirflowException:
            continue
    stage.cloud.faults.clear()
    assert stage.attempt()["image"].startswith(f"{IMAGE}@sha256:")
    assert stage.statuses() == ["SUCCESS"]


@pytest.mark.parametrize("call", [LIST, CREATE])
@pytest.mark.parametrize(("fault", "remedy"), LASTING)
def test_a_fault_that_lasts_fails_at_once_with_its_remedy(stage: Stage, call: str, fault: Fault, remedy: str) -> None:
    stage.cloud.faults.add(call, fault)
    with pytest.raises(AirflowFailException, match=f"can't .*{remedy}"):
        stage.attempt()
    assert stage.builds() == []


def test_clearing_the_task_cancels_the_build_and_a_new_try_builds_anew(stage: Stage) -> None:
    stage.service.script.hold("Run *")
    waiting = stage.begin()
    asyncio.run(revived(waiting).on_kill())
    assert stage.statuses() == ["CANCELLED"]
    (cancel,) = [call.request for call in stage.cloud.calls.of(CANCEL)]
    assert cancel == types.CancelBuildRequest(project_id=stage.cloud.project, id=stage.builds()[0].id)
    asyncio.run(revived(waiting).on_kill())  # it has ended: nothing to do
    stage.service.script.release()
    stage.attempt()
    assert stage.statuses() == ["SUCCESS", "CANCELLED"]


def test_killing_the_task_before_it_waits_cancels_the_build(stage: Stage) -> None:
    stage.service.script.hold("Run *")
    operator = stage.operator()
    with pytest.raises(TaskDeferred):
        operator.execute(stage.context)
    operator.on_kill()
    assert stage.statuses() == ["CANCELLED"]


def test_a_retry_attaches_to_the_build_that_runs(stage: Stage) -> None:
    stage.service.script.hold("Run *")
    first, second = stage.begin(), stage.begin()
    assert first.trigger.serialize() == second.trigger.serialize()
    stage.service.script.release()
    stage.attempt()
    assert stage.statuses() == ["SUCCESS"]


def test_a_build_that_was_cancelled_elsewhere_may_be_retried_one_that_failed_not(stage: Stage) -> None:
    stage.service.script.hold("Run *")
    waiting = stage.begin()
    asyncio.run(revived(waiting).on_kill())
    stage.service.script.release()
    with pytest.raises(AirflowException, match="a retry builds anew") as cancelled:
        stage.operator().cloud_build_ended(stage.context, fired(revived(waiting)))
    assert not isinstance(cancelled.value, AirflowFailException)
    stage.service.script.fail("Run *", preempted())
    with pytest.raises(AirflowFailException, match=r"Cloud Build .* failed: .*preempted"):
        stage.attempt()


def test_a_bucket_that_is_missing_is_told_with_how_to_make_it(stage: Stage) -> None:
    stage.cloud.storage_client().bucket(BUCKET).delete()
    with pytest.raises(AirflowFailException, match=f"gcloud storage buckets create gs://{BUCKET}"):
        stage.attempt()
