"""The task that has Cloud Build make an image: one build, awaited in the triggerer, cancelled with the task."""

from __future__ import annotations

import asyncio

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from google.cloud.devtools.cloudbuild_v1 import types
from google.protobuf import duration_pb2

from tests.gcp.build_stage import BUCKET, CANCEL, CREATE, GET, IMAGE, LIST, Stage, revived, stage
from tests.gcp.fault_cases import LASTING, PASSING
from tests.gcp.faults import Fault
from tests.gcp.services.scripts import preempted
from tests.gcp.triggering import fired

__all__ = ["stage"]


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


@pytest.mark.parametrize(("fault", "remedy"), LASTING)
def test_a_fault_that_lasts_ends_the_waiting_and_the_task_tells_it(stage: Stage, fault: Fault, remedy: str) -> None:
    stage.service.script.hold("Run *")
    waiting = stage.begin()
    stage.cloud.faults.add(GET, fault, times=2)
    event = fired(revived(waiting))
    with pytest.raises(AirflowFailException, match=f"can't look at Cloud Build {event['build']}: .*{remedy}"):
        stage.operator().cloud_build_ended(stage.context, event)
    stage.service.script.release()
    assert stage.attempt()["image"].startswith(f"{IMAGE}@sha256:")  # cleared: it goes on with the same build
    assert stage.statuses() == ["SUCCESS"]


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
