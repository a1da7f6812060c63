"""Whatever goes wrong on the way to the traffic: who served goes on, a retry ends well, nothing is there twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from respan.vertex import endpoint, operations, registry

from tests.gcp.fault_cases import LASTING, PASSING
from tests.gcp.faults import Fault
from tests.gcp.serve_stage import Pipeline, Stage, Task, prepared, revived, stage
from tests.gcp.services.scripts import out_of_quota
from tests.gcp.triggering import fired

__all__ = ["prepared", "stage"]

CALLS = [
    "ModelService.GetModel",
    "ModelService.UploadModel",
    "ModelService.MergeVersionAliases",
    "EndpointService.GetEndpoint",
    "EndpointService.DeployModel",
    "EndpointService.UpdateEndpoint",
    "EndpointService.UndeployModel",
    "Operations.ListOperations",
]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is waited for long, so that DEADLINE is quick."""
    for module in (endpoint, operations, registry):
        monkeypatch.setattr(module, "CALL_SECONDS", 2.0)


@pytest.fixture
def serving_one(stage: Stage) -> Pipeline:
    """A pipeline whose version 1 serves, and version 2 may."""
    pipeline = stage.pipeline()
    pipeline.serve(1).attempt()
    return pipeline


def check_two_serves(stage: Stage, pipeline: Pipeline) -> None:
    """Version 2 has all the traffic everywhere, and nothing was made twice."""
    assert pipeline.traffic == {2: 100}
    assert pipeline.split() == {"2": 100}
    assert pipeline.deployed() == {"2"}
    assert pipeline.versions() == {"1": {"release-1"}, "2": {"release-2", "candidate", "production"}}
    done = [call for call in stage.cloud.calls.of("EndpointService.DeployModel") if call.outcome in ("OK", "DROPPED")]
    deployed = [call.request.deployed_model.id for call in done if pipeline.cloud_id in call.request.endpoint]
    assert deployed == ["1", "2"]


def check_one_has_the_traffic(pipeline: Pipeline) -> None:
    assert sum(pipeline.split().values()) == 100
    assert set(pipeline.split()) <= pipeline.deployed()
    if pipeline.traffic == {2: 100}:
        assert pipeline.split() == {"2": 100}


@pytest.mark.parametrize("call", CALLS)
def test_after_each_fault_that_passes_a_retry_goes_on(stage: Stage, serving_one: Pipeline, call: str) -> None:
    for fault in PASSING:
        stage.cloud.faults.add(call, fault)
    task = serving_one.serve(2)
    for _ in range(len(PASSING)):
        try:
            task.attempt()
            break
        except AirflowFailException:
            raise
        except AirflowException:
            check_one_has_the_traffic(serving_one)
    stage.cloud.faults.clear()
    task.attempt()
    check_two_serves(stage, serving_one)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("fault", "remedy"), LASTING)
def test_a_fault_that_lasts_fails_at_once_with_its_remedy_and_is_mended(
    stage: Stage, serving_one: Pipeline, call: str, fault: Fault, remedy: str
) -> None:
    stage.cloud.faults.add(call, fault)
    task = serving_one.serve(2)
    with pytest.raises(AirflowFailException, match=f"can't .*{remedy}"):
        task.attempt()
    check_one_has_the_traffic(serving_one)
    if call not in ("ModelService.MergeVersionAliases", "EndpointService.UndeployModel"):
        assert serving_one.traffic == {1: 100}
        assert serving_one.split() == {"1": 100}
    task.attempt()
    check_two_serves(stage, serving_one)


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.kind.value)
def test_an_endpoint_is_made_once(stage: Stage, fault: Fault) -> None:
    pipeline = stage.pipeline()
    stage.cloud.faults.add("EndpointService.CreateEndpoint", fault)
    pipeline.serve(1).tries()
    assert pipeline.split() == {"1": 100}


@pytest.mark.parametrize(("fault", "remedy"), LASTING)
def test_an_endpoint_that_may_not_be_made_is_told_and_made_once_it_may(stage: Stage, fault: Fault, remedy: str) -> None:
    pipeline = stage.pipeline()
    stage.cloud.faults.add("EndpointService.CreateEndpoint", fault)
    task = pipeline.serve(1)
    with pytest.raises(AirflowFailException, match=f"can't make endpoint {pipeline.cloud_id}: .*{remedy}"):
        task.attempt()
    assert pipeline.traffic == {}
    task.attempt()
    assert pipeline.split() == {"1": 100}


def test_a_deployment_that_fails_leaves_the_running_version_and_is_tried_again(
    stage: Stage, serving_one: Pipeline
) -> None:
    stage.serving.endpoints.script.fail("DeployModel *", out_of_quota("custom_model_serving_cpus"))
    task = serving_one.serve(2)
    with pytest.raises(AirflowException, match=r"can't deploy release 2 to endpoint .*quota") as failed:
        task.attempt()
    assert not isinstance(failed.value, AirflowFailException)
    assert (serving_one.split(), serving_one.traffic) == ({"1": 100}, {1: 100})
    task.attempt()
    assert serving_one.split() == {"2": 100}


def test_whoever_is_killed_whenever_the_next_try_goes_on(stage: Stage, serving_one: Pipeline) -> None:
    """Each try is abandoned where it first waits, with all that Airflow kept of it."""
    document: Any = None
    waits = 0
    while document is None:
        task = Task(serving_one.name, {"version": 2})
        try:
            document = task.operator().execute(task.context)
        except TaskDeferred as waiting:
            waits += 1
            check_one_has_the_traffic(serving_one)
            fired(revived(waiting))
    assert waits >= 3
    check_two_serves(stage, serving_one)


def test_a_cleared_task_cancels_the_deployment_and_deploys_anew(stage: Stage, serving_one: Pipeline) -> None:
    registry.ensure_registered(serving_one.place, serving_one.settings, serving_one.storage, 2)
    work = f"DeployModel {serving_one.cloud_id}"
    stage.serving.endpoints.script.hold(work)
    task = serving_one.serve(2)
    waiting = revived(task.begin())
    stage.serving.endpoints.script.wait_until_held(work)
    asyncio.run(waiting.on_kill())
    assert serving_one.split() == {"1": 100}
    stage.serving.endpoints.script.release()
    fired(waiting)
    task.attempt()
    assert serving_one.split() == {"2": 100}


def test_a_retry_attaches_to_the_operation_that_goes_on(stage: Stage, serving_one: Pipeline) -> None:
    work = f"UploadModel {serving_one.cloud_id}"
    stage.serving.registry.script.hold(work)
    task = serving_one.serve(2)
    first, second = task.begin(), task.begin()
    assert first.trigger.serialize() == second.trigger.serialize()
    stage.serving.registry.script.release()
    task.attempt()
    check_two_serves(stage, serving_one)


def test_a_deployment_whose_answer_was_lost_is_waited_for_and_not_begun_again(
    stage: Stage, serving_one: Pipeline
) -> None:
    registry.ensure_registered(serving_one.place, serving_one.settings, serving_one.storage, 2)
    work = f"DeployModel {serving_one.cloud_id}"
    stage.serving.endpoints.script.hold(work)
    stage.cloud.faults.add("EndpointService.DeployModel", Fault.DROPPED)
    task = serving_one.serve(2)
    with pytest.raises(AirflowException, match="a retry goes on from here"):
        task.attempt()
    stage.serving.endpoints.script.wait_until_held(work)
    task.begin()
    assert len(stage.requests("EndpointService.DeployModel", serving_one)) == 2  # version 1, version 2
    stage.serving.endpoints.script.release()
    task.attempt()
    check_two_serves(stage, serving_one)


def test_the_trigger_looks_through_faults_that_pass(stage: Stage, serving_one: Pipeline) -> None:
    task = serving_one.serve(2)
    waiting = revived(task.begin())
    for fault in (Fault.UNAVAILABLE, Fault.RATE_LIMIT, Fault.DROPPED):
        stage.cloud.faults.add("Operations.GetOperation", fault)
    assert fired(waiting) == {"operation": waiting.operation}
    task.attempt()
    check_two_serves(stage, serving_one)


def test_the_trigger_hands_back_what_nobody_may_ask(stage: Stage, serving_one: Pipeline) -> None:
    task = serving_one.serve(2)
    waiting = revived(task.begin())
    stage.cloud.faults.add("Operations.GetOperation", Fault.PERMISSION_DENIED, times=2)
    assert fired(waiting) == {"operation": waiting.operation}
    with pytest.raises(AirflowFailException, match="grant the connection's account"):
        task.operator().prepared(task.context, {})
    task.attempt()
    check_two_serves(stage, serving_one)
