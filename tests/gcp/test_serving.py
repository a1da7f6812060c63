"""A release on its way to the traffic on Vertex AI: canary, roll back, and who serves meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException
from respan.vertex.registry import ensure_registered

from ml import layout, releases
from ml.vertex_records import RegisteredModel
from tests.gcp.serve_stage import Pipeline, Stage, prepared, stage

__all__ = ["prepared", "stage"]

pytest_plugins = ("tests.gcp.serving_fixtures",)


def size_of_word(pipeline: Pipeline) -> tuple[str, float]:
    """Who answered, and what: the length of a word of five letters, times the model's factor."""
    answer = pipeline.predict("words")
    (prediction,) = answer.predictions
    return answer.deployed_model_id, prediction["size"]


def test_a_canary_grows_and_is_rolled_back_with_real_predictions(stage: Stage, saved_models: dict[int, Path]) -> None:
    pipeline = stage.pipeline(released=0)
    pipeline.release(1, saved_models[1])
    pipeline.release(2, saved_models[10])

    pipeline.serve(1).attempt()
    assert size_of_word(pipeline) == ("1", 5)

    document = pipeline.serve(2, share=10, again=True, reason="a canary").attempt()
    assert document["traffic"] == {"1": 90, "2": 10}
    assert pipeline.split() == {"1": 90, "2": 10}
    assert pipeline.versions() == {"1": {"release-1", "production"}, "2": {"release-2", "candidate"}}

    pipeline.serve(2, share=100, again=True, reason="it does well").attempt()
    assert size_of_word(pipeline) == ("2", 50)
    assert pipeline.deployed() == {"2"}
    assert pipeline.versions()["2"] == {"release-2", "candidate", "production"}

    pipeline.serve(1, again=True, reason="it does not").attempt()
    assert size_of_word(pipeline) == ("1", 5)
    assert pipeline.deployed() == {"1"}
    assert pipeline.versions() == {"1": {"release-1", "production"}, "2": {"release-2", "candidate"}}

    history = releases.serving(pipeline.storage)
    assert history is not None
    assert [change.reason for change in history.history][1:] == ["a canary", "it does well", "it does not"]


def test_the_running_version_keeps_all_the_traffic_until_the_new_one_is_up(stage: Stage) -> None:
    pipeline = stage.pipeline()
    pipeline.serve(1).attempt()
    stage.serving.endpoints.script.hold(f"DeployModel {pipeline.cloud_id}")
    task = pipeline.serve(2)
    task.begin()  # uploads
    ensure_registered(pipeline.place, pipeline.settings, pipeline.storage, 2)
    task.begin()  # deploys
    stage.serving.endpoints.script.wait_until_held(f"DeployModel {pipeline.cloud_id}")
    assert pipeline.split() == {"1": 100}
    assert pipeline.traffic == {1: 100}
    stage.serving.endpoints.script.release()
    task.attempt()
    assert pipeline.split() == {"2": 100}


def test_without_an_endpoint_the_release_is_registered_and_serves(stage: Stage) -> None:
    pipeline = stage.pipeline(settings="")
    pipeline.serve(1).attempt()
    assert pipeline.traffic == {1: 100}
    assert pipeline.versions() == {"1": {"release-1", "candidate", "production"}}
    assert stage.requests("EndpointService.CreateEndpoint", pipeline) == []


def test_nothing_released_leaves_everything_as_it_is(stage: Stage) -> None:
    pipeline = stage.pipeline()
    before = len(stage.cloud.calls)
    assert pipeline.serve(None).attempt() is None
    assert len(stage.cloud.calls) == before


def test_the_retry_of_a_release_does_not_undo_a_roll_back(stage: Stage) -> None:
    pipeline = stage.pipeline()
    for version, again in ((1, False), (2, False), (1, True), (2, False)):
        pipeline.serve(version, again=again).attempt()
    assert pipeline.traffic == {1: 100}
    assert pipeline.split() == {"1": 100}


def test_a_version_that_is_not_released_is_refused_before_any_call(stage: Stage) -> None:
    pipeline = stage.pipeline()
    with pytest.raises(AirflowFailException, match=r"no release 7 .*found: 1, 2"):
        pipeline.serve(7).attempt()
    assert stage.requests("ModelService.UploadModel", pipeline) == []


def test_an_endpoint_in_a_peered_network_is_refused_before_any_call(stage: Stage) -> None:
    pipeline = stage.pipeline("  endpoint: {enabled: true}\n  network: projects/1/global/networks/n\n")
    with pytest.raises(AirflowFailException, match=r"vertex\.endpoint\.enabled and vertex\.network"):
        pipeline.serve(1).attempt()
    assert stage.requests("ModelService.UploadModel", pipeline) == []


def test_two_callers_at_once_register_one_version(stage: Stage) -> None:
    pipeline = stage.pipeline()
    ensure_registered(pipeline.place, pipeline.settings, pipeline.storage, 1)

    def register(_: int) -> RegisteredModel:
        return ensure_registered(pipeline.place, pipeline.settings, pipeline.storage, 2)

    with ThreadPoolExecutor(2) as callers:
        first, second = callers.map(register, range(2))
    assert first == second
    assert pipeline.versions()[first.version_id] >= {"release-2", "candidate"}
    assert RegisteredModel.from_json(pipeline.storage.read(layout.registered_model(2))) == first


def test_a_second_upload_of_a_release_is_deleted_and_its_aliases_stay(stage: Stage) -> None:
    pipeline = stage.pipeline()
    task = pipeline.serve(1)
    task.attempt()
    written = pipeline.storage.stat(layout.registered_model(1))
    pipeline.storage.delete(layout.registered_model(1), if_generation=written.generation)
    from respan.vertex import operations, registry

    operations.wait(pipeline.place, registry.upload(pipeline.place, pipeline.settings, pipeline.storage, 1), 0.02)
    record = registry.registered(pipeline.place, pipeline.settings, pipeline.storage, 1)
    assert record is not None
    assert record.version_id == "2"
    registry.leave_one(pipeline.place, pipeline.settings, record, 1)
    stage.cloud.calls.wait_for("ModelService.DeleteModelVersion")


def test_an_early_release_that_is_registered_late_is_no_candidate(stage: Stage) -> None:
    pipeline = stage.pipeline()
    for version in (2, 1):
        ensure_registered(pipeline.place, pipeline.settings, pipeline.storage, version)
    assert pipeline.versions() == {"1": {"release-2", "candidate"}, "2": {"release-1"}}
