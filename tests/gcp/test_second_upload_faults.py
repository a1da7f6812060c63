"""A release that was uploaded twice, through every fault: it serves, and one upload of it stays."""

from __future__ import annotations

import grpc
import pytest
from respan.vertex import clearing_up, operations, registry

from ml import layout
from tests.gcp.fault_cases import LASTING, PASSING, name_of
from tests.gcp.faults import Fault
from tests.gcp.serve_stage import Pipeline, Stage, prepared, stage
from tests.gcp.service import Refusal

__all__ = ["prepared", "stage"]

LIST, ALIASES = "ModelService.ListModelVersions", "ModelService.MergeVersionAliases"
DELETE = "ModelService.DeleteModelVersion"

ONE = {"1": {"release-1", "candidate", "production"}}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is waited for long, so that DEADLINE is quick."""
    for module in (operations, registry):
        monkeypatch.setattr(module, "CALL_SECONDS", 2.0)
    monkeypatch.setattr(clearing_up, "SECONDS_BETWEEN_TRIES", 0.01)


@pytest.fixture
def twice(stage: Stage) -> Pipeline:
    """A pipeline whose release was uploaded by two callers, of whom the first is recorded: version 1 is to stay.

    The second upload has its aliases, as the newest.
    """
    pipeline = stage.pipeline(released=1)
    for _ in range(2):
        operations.wait(pipeline.place, registry.upload(pipeline.place, pipeline.settings, pipeline.storage, 1), 0.02)
        registry.registered(pipeline.place, pipeline.settings, pipeline.storage, 1)
    assert pipeline.versions() == {"1": set(), "2": {"release-1", "candidate"}}
    return pipeline


def check_it_serves(pipeline: Pipeline) -> None:
    assert (pipeline.traffic, pipeline.split(), pipeline.deployed()) == ({1: 100}, {"1": 100}, {"1"})


@pytest.mark.parametrize("call", [LIST, ALIASES, DELETE])
@pytest.mark.parametrize("fault", PASSING, ids=name_of)
def test_a_fault_that_passes_keeps_neither_the_release_nor_the_deletion(
    stage: Stage, twice: Pipeline, call: str, fault: Fault
) -> None:
    stage.cloud.faults.add(call, fault)
    twice.serve(1).attempt()
    assert stage.cloud.faults.pending == []
    check_it_serves(twice)
    assert twice.versions() == ONE


@pytest.mark.parametrize("call", [LIST, DELETE])
@pytest.mark.parametrize(("fault", "remedy"), LASTING, ids=name_of)
def test_a_refusal_is_told_with_how_to_delete_it_and_the_next_task_does(
    stage: Stage, twice: Pipeline, caplog: pytest.LogCaptureFixture, call: str, fault: Fault, remedy: str
) -> None:
    stage.cloud.faults.add(call, fault)
    twice.serve(1).attempt()
    check_it_serves(twice)
    assert set(twice.versions()) == {"1", "2"}
    place = f"--project={stage.cloud.project} --region={stage.cloud.region}"
    for part in ("can't ", remedy, f"gcloud ai models delete-version {twice.cloud_id}@VERSION", place):
        assert part in caplog.text
    registry.ensure_registered(twice.place, twice.settings, twice.storage, 1)  # as a batch prediction does
    assert twice.versions() == ONE


def test_an_outage_while_deleting_is_told_once_and_the_release_serves(
    stage: Stage, twice: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(stage.cloud.calls.of(DELETE))
    stage.cloud.faults.add(DELETE, Fault.UNAVAILABLE, times=None)
    twice.serve(1).attempt()
    assert len(stage.cloud.calls.of(DELETE)) - before == 5
    stage.cloud.faults.clear()
    check_it_serves(twice)
    assert caplog.text.count("release 1 may be in the registry twice") == 1
    assert "Google Cloud is in trouble" in caplog.text
    twice.serve(1).attempt()
    assert twice.versions() == ONE


def test_a_deletion_that_fails_after_it_was_accepted_is_told_and_made_up_for(
    stage: Stage, twice: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = Refusal(grpc.StatusCode.FAILED_PRECONDITION, "the version is in use")
    stage.serving.registry.script.fail(f"DeleteModelVersion {twice.cloud_id}", refusal)
    twice.serve(1).attempt()
    check_it_serves(twice)
    assert f"can't delete {twice.cloud_id}@2, a second upload: " in caplog.text
    assert "the version is in use" in caplog.text
    twice.serve(1).attempt()
    assert twice.versions() == ONE


def test_a_caller_who_died_before_the_deletion_leaves_it_to_the_next(stage: Stage, twice: Pipeline) -> None:
    assert twice.storage.exists(layout.registered_model(1))
    registry.ensure_registered(twice.place, twice.settings, twice.storage, 1)
    assert twice.versions() == {"1": {"release-1", "candidate"}}
