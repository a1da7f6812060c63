"""Ending a build with its task, through every fault: none is left running, or the log tells how to end it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from respan.images import cloud_build
from respan.operators.build_image import BuildImageOperator

from ml.errors import RespanError
from tests.gcp.build_stage import CANCEL, CREATE, IMAGE, LIST, Stage, revived, stage
from tests.gcp.fault_cases import LASTING, PASSING, name_of
from tests.gcp.faults import Fault

__all__ = ["stage"]


def begun(stage: Stage) -> BuildImageOperator:
    """A task in the moment in which its build has begun, and it doesn't wait yet."""
    stage.service.script.hold("Run *")
    operator = stage.operator()
    with pytest.raises(TaskDeferred):
        operator.execute(stage.context)
    return operator


@pytest.mark.parametrize("fault", PASSING, ids=name_of)
def test_clearing_a_task_that_waits_cancels_its_build(stage: Stage, fault: Fault) -> None:
    stage.service.script.hold("Run *")
    waiting = stage.begin()
    stage.cloud.faults.add(CANCEL, fault)
    asyncio.run(revived(waiting).on_kill())
    assert stage.statuses() == ["CANCELLED"]


@pytest.mark.parametrize("call", [LIST, CANCEL])
@pytest.mark.parametrize("fault", PASSING, ids=name_of)
def test_killing_a_task_before_it_waits_cancels_its_build(stage: Stage, call: str, fault: Fault) -> None:
    operator = begun(stage)
    stage.cloud.faults.add(call, fault)
    operator.on_kill()
    stage.cloud.faults.clear()
    assert stage.statuses() == ["CANCELLED"]


@pytest.mark.parametrize("lost", [False, True])
def test_killing_a_task_while_it_submits_leaves_no_build(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    stage.service.script.hold("Run *")
    operator = stage.operator()
    real = cloud_build.CloudBuild.start

    def killed(service: Any, request: Any) -> Any:
        with contextlib.suppress(RespanError):
            real(service, request)
        operator.on_kill()
        raise KeyboardInterrupt

    monkeypatch.setattr(cloud_build.CloudBuild, "start", killed)
    if lost:
        stage.cloud.faults.add(CREATE, Fault.DROPPED)
    with pytest.raises(KeyboardInterrupt):
        operator.execute(stage.context)
    assert stage.statuses() == ["CANCELLED"]


def check_told_and_waited_for(stage: Stage, told: str, *parts: str) -> None:
    """The log tells cause, remedy and what is left; that one build is what the next try gets its image from."""
    (build,) = stage.builds()
    assert build.status.name in ("QUEUED", "WORKING")
    for part in (*parts, "runs on until its time is up", "gcloud builds cancel", f"--project={stage.cloud.project}"):
        assert part in told
    stage.service.script.release()
    assert stage.attempt()["image"].startswith(f"{IMAGE}@sha256:")
    assert [found.id for found in stage.builds()] == [build.id]


@pytest.mark.parametrize(("fault", "remedy"), LASTING, ids=name_of)
def test_a_trigger_that_may_not_cancel_tells_how_a_person_ends_the_build(
    stage: Stage, capsys: pytest.CaptureFixture[str], fault: Fault, remedy: str
) -> None:
    stage.service.script.hold("Run *")
    waiting = stage.begin()
    stage.cloud.faults.add(CANCEL, fault)
    asyncio.run(revived(waiting).on_kill())
    assert len(stage.cloud.calls.of(CANCEL)) == 1
    build = stage.builds()[0].id
    check_told_and_waited_for(stage, capsys.readouterr().out, f"can't cancel Cloud Build {build}", remedy, build)


@pytest.mark.parametrize("call", [LIST, CANCEL])
@pytest.mark.parametrize(("fault", "remedy"), LASTING, ids=name_of)
def test_a_killed_task_that_may_not_cancel_tells_how_a_person_ends_the_build(
    stage: Stage, caplog: pytest.LogCaptureFixture, call: str, fault: Fault, remedy: str
) -> None:
    operator = begun(stage)
    stage.cloud.faults.add(call, fault)
    operator.on_kill()
    tag = stage.builds()[0].tags[0]
    check_told_and_waited_for(stage, caplog.text, "can't ", remedy, f"--filter=tags={tag}")


def test_an_outage_that_outlasts_the_kill_is_told_once_it_is_given_up(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    operator = begun(stage)
    stage.cloud.faults.add(CANCEL, Fault.UNAVAILABLE, times=None)
    operator.on_kill()
    stage.cloud.faults.clear()
    assert len(stage.cloud.calls.of(CANCEL)) == 5
    assert caplog.text.count("gcloud builds cancel") == 1
    check_told_and_waited_for(stage, caplog.text, "Google Cloud is in trouble")
