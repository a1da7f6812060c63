"""The sensor and its trigger against a real local storage."""

from __future__ import annotations

import asyncio
import json
import pkgutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, AssetWatcher
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.serialization.serialized_objects import DagSerialization
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from respan.data_sufficiency import look
from respan.sensors.data_sufficiency import DataSufficiencySensor
from respan.triggers.data_sufficiency import DataSufficiencyTrigger

from ml.freezing import freeze
from ml.home import pipeline_storage
from ml.layout import model
from ml.records import ReleaseRecord, now
from ml.releases import record_release, serve
from ml.settings import load_settings
from ml.settling import return_batch
from tests.dags.pipeline_folders import write_pipeline

TRIGGER = "respan.triggers.data_sufficiency.DataSufficiencyTrigger"

SETTINGS = """
kind: image_classification
evaluation: {min_samples: 4, min_evaluated: 3, poll_seconds: 0.01}
"""


@pytest.fixture(autouse=True)
def pipeline(respan_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path / "pipelines"))
    return write_pipeline(tmp_path / "pipelines", "watched", SETTINGS)


def collect(count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        pipeline_storage("watched").write(f"inbox/cat/{number}.png", b"not looked into")


async def next_event(events: AsyncIterator[TriggerEvent]) -> Any:
    return (await asyncio.wait_for(anext(events), timeout=20)).payload


def test_enough_samples_let_the_sensor_go_on_at_once() -> None:
    collect(5)
    assert DataSufficiencySensor(task_id="wait", pipeline="watched").execute({}) == 4


def test_too_few_samples_defer_the_sensor() -> None:
    collect(3)
    with pytest.raises(TaskDeferred) as deferred:
        DataSufficiencySensor(task_id="wait", pipeline="watched").execute({})
    assert deferred.value.trigger.serialize() == (TRIGGER, {"pipeline": "watched"})


def test_an_open_batch_makes_the_sensor_wait_however_many_samples_came_since() -> None:
    collect(4)
    freeze(pipeline_storage("watched"), load_settings("watched"), "a run")
    collect(10, first=4)
    state = look(load_settings("watched"))
    assert not state.ready
    assert "is open" in str(state)


def test_a_batch_that_can_have_no_verdict_is_not_asked_for(pipeline: Path) -> None:
    """It would be returned to the inbox, and asked for again at once."""
    (pipeline / "settings.yaml").write_text(SETTINGS.replace("min_evaluated: 3", "min_evaluated: 6"))
    collect(5)
    assert look(load_settings("watched")).needed.samples == 6
    assert not look(load_settings("watched")).ready


def test_broken_settings_fail_the_sensor_without_a_retry(pipeline: Path) -> None:
    (pipeline / "settings.yaml").write_text("kind: image_classification\nevaluaton: {}\n")
    with pytest.raises(AirflowFailException, match="evaluaton"):
        DataSufficiencySensor(task_id="wait", pipeline="watched").execute({})


def test_the_trigger_fires_when_the_last_sample_arrives() -> None:
    async def scenario() -> None:
        events = DataSufficiencyTrigger("watched").run()
        waiting = asyncio.ensure_future(next_event(events))
        collect(3)
        await asyncio.sleep(0.1)
        assert not waiting.done()
        collect(1, first=3)
        assert await waiting == {"pipeline": "watched", "samples": 4}

    asyncio.run(scenario())


def test_for_a_watcher_the_trigger_fires_once_for_each_time_that_the_inbox_becomes_ready() -> None:
    async def scenario() -> None:
        storage, settings = pipeline_storage("watched"), load_settings("watched")
        events = DataSufficiencyTrigger("watched").run()
        collect(4)
        await next_event(events)
        again = asyncio.ensure_future(next_event(events))
        await asyncio.sleep(0.2)
        assert not again.done(), "nothing has changed"
        batch = freeze(storage, settings, "a run")
        await asyncio.sleep(0.2)
        assert not again.done(), "a batch is open"
        return_batch(storage, batch.id)
        assert (await again)["samples"] == 4

    asyncio.run(scenario())


def test_the_trigger_heeds_a_change_of_the_settings_while_it_waits(pipeline: Path) -> None:
    async def scenario() -> None:
        collect(3)
        waiting = asyncio.ensure_future(next_event(DataSufficiencyTrigger("watched").run()))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        (pipeline / "settings.yaml").write_text(SETTINGS.replace("min_samples: 4", "min_samples: 3"))
        assert (await waiting)["samples"] == 3

    asyncio.run(scenario())


def test_the_trigger_outlives_settings_that_are_half_edited(pipeline: Path) -> None:
    async def scenario() -> None:
        waiting = asyncio.ensure_future(next_event(DataSufficiencyTrigger("watched").run()))
        await asyncio.sleep(0.1)
        (pipeline / "settings.yaml").write_text("kind: [")
        collect(4)
        await asyncio.sleep(0.2)
        assert not waiting.done()
        (pipeline / "settings.yaml").write_text(SETTINGS)
        assert (await waiting)["samples"] == 4

    asyncio.run(scenario())


def test_the_trigger_leaves_the_loop_free_while_storage_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A named pipe where the settings should be: reading it blocks until somebody writes."""
    import os

    settings = tmp_path / "pipelines" / "watched" / "settings.yaml"
    settings.unlink()
    os.mkfifo(settings)
    monkeypatch.setattr("ml.settings.pipeline_folder", lambda _: settings.parent)

    async def scenario() -> None:
        collect(4)
        waiting = asyncio.ensure_future(next_event(DataSufficiencyTrigger("watched").run()))
        await asyncio.sleep(0.2)  # would never return if the trigger held the loop
        assert not waiting.done()
        writer = await asyncio.to_thread(open, settings, "w")
        settings.unlink()
        settings.write_text(SETTINGS)
        with writer:
            writer.write(SETTINGS)
        assert (await waiting)["samples"] == 4

    asyncio.run(scenario())


def per_class(pipeline: Path, minimum: int) -> None:
    (pipeline / "settings.yaml").write_text(SETTINGS.replace("{", f"{{min_samples_per_class: {minimum}, "))


def release(*classes: str) -> None:
    storage = pipeline_storage("watched")
    record = ReleaseRecord(version=1, run="r", window=[1], created=now(), metrics={}, classes=list(classes), code="0")
    storage.write(f"{model(1)}/saved_model.pb", b"model")
    serve(storage, record_release(storage, record).version, "for the test")


def test_a_class_of_the_release_that_lacks_samples_keeps_the_sensor_waiting_and_is_named(pipeline: Path) -> None:
    per_class(pipeline, 2)
    release("cat", "dog")
    collect(5)
    pipeline_storage("watched").write("inbox/dog/1.png", b"not looked into")
    with pytest.raises(TaskDeferred):
        DataSufficiencySensor(task_id="wait", pipeline="watched").execute({})
    assert str(look(load_settings("watched"))) == "waiting: class 'dog' lacks 1 of 2"
    pipeline_storage("watched").write("inbox/dog/2.png", b"not looked into")
    assert DataSufficiencySensor(task_id="wait", pipeline="watched").execute({}) == 4


def test_before_the_first_release_the_classes_in_the_inbox_count_and_there_have_to_be_two(pipeline: Path) -> None:
    per_class(pipeline, 2)
    collect(5)
    assert not look(load_settings("watched")).ready
    for number in range(2):
        pipeline_storage("watched").write(f"inbox/dog/{number}.png", b"not looked into")
    assert look(load_settings("watched")).ready


def test_the_trigger_fires_when_the_last_class_has_enough(pipeline: Path) -> None:
    async def scenario() -> None:
        per_class(pipeline, 1)
        release("cat", "dog")
        collect(4)
        waiting = asyncio.ensure_future(next_event(DataSufficiencyTrigger("watched").run()))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        pipeline_storage("watched").write("inbox/dog/1.png", b"not looked into")
        assert (await waiting)["samples"] == 4

    asyncio.run(scenario())


def test_an_asset_that_the_trigger_watches_is_stored_and_started_again_as_airflow_does() -> None:
    """A watched DAG is serialized, its trigger kept by class path and JSON arguments, and made anew from these."""
    watched = Asset(name="samples", watchers=[AssetWatcher(name="inbox", trigger=DataSufficiencyTrigger("watched"))])
    with DAG(dag_id="watching", schedule=[watched]) as dag:
        pass
    document = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    [stored] = DagSerialization.from_dict(document).timetable.asset_condition.iter_assets()
    [watcher] = stored[1].watchers
    assert (watcher.name, watcher.trigger["classpath"]) == ("inbox", TRIGGER)

    async def scenario() -> None:
        again = pkgutil.resolve_name(watcher.trigger["classpath"])(**watcher.trigger["kwargs"])
        assert isinstance(again, BaseEventTrigger)
        collect(4)
        assert await next_event(again.run()) == {"pipeline": "watched", "samples": 4}

    asyncio.run(scenario())
