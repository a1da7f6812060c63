"""The DAGs as Airflow sees them: drawn from the pipelines' folders, whatever is in those."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from ml.kinds import kind_names
from ml.records import TrainingCause
from tests.dags.airflow_home import PROJECT
from tests.dags.pipeline_folders import write_pipeline

STAGES = ("evaluation", "retraining", "training", "serving")


@pytest.fixture
def pipelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path))
    return tmp_path


def bag() -> Any:
    return DagBag(PROJECT / "dags")


def test_every_pipeline_has_its_four_dags_and_nothing_fails_to_import(pipelines: Path) -> None:
    write_pipeline(pipelines, "first")
    write_pipeline(pipelines, "second")
    found = bag()
    for name in ("first", "second"):
        assert {f"{name}.{stage}" for stage in STAGES} <= set(found.dags)
    assert not [error for error in found.import_errors.values() if "first" in error or "second" in error]


def test_a_pipeline_with_broken_settings_is_told_by_key_and_leaves_the_others_their_dags(pipelines: Path) -> None:
    write_pipeline(pipelines, "good")
    broken = write_pipeline(pipelines, "broken")
    (broken / "settings.yaml").write_text("kind: image_classification\ntraining: {epoch: 3}\n")
    found = bag()
    assert "good.training" in found.dags
    assert not any(dag_id.startswith("broken.") for dag_id in found.dags)
    [message] = [error for error in found.import_errors.values() if "broken" in error]
    assert "training.epoch" in message
    assert "good" not in message


def test_an_outdated_graph_is_told_and_still_drawn(pipelines: Path) -> None:
    folder = write_pipeline(pipelines, "outdated")
    graph = json.loads((folder / "graph.json").read_text())
    (folder / "graph.json").write_text(json.dumps({**graph, "source": "of another time"}))
    found = bag()
    assert "outdated.training" in found.dags
    [message] = [error for error in found.import_errors.values() if "outdated" in error]
    assert "python -m ml compile outdated" in message


def test_a_copied_pipeline_gets_dags_when_it_was_compiled_and_not_those_of_the_other(pipelines: Path) -> None:
    folder = write_pipeline(pipelines, "copied")
    graph = json.loads((folder / "graph.json").read_text())
    (folder / "graph.json").write_text(json.dumps({**graph, "pipeline": "original"}))
    found = bag()
    assert not any(dag_id.startswith(("copied.", "original.")) for dag_id in found.dags)
    [message] = [error for error in found.import_errors.values() if "copied" in error]
    assert "python -m ml compile copied" in message


def test_the_training_dag_has_the_nodes_and_edges_of_the_compiled_graph(pipelines: Path) -> None:
    folder = write_pipeline(pipelines, "drawn")
    dag = bag().dags["drawn.training"]
    graph = json.loads((folder / "graph.json").read_text())
    prefix = "components."
    drawn = {
        task.task_id.removeprefix(prefix): sorted(
            upstream.removeprefix(prefix) for upstream in task.upstream_task_ids if upstream.startswith(prefix)
        )
        for task in dag.tasks
        if task.task_id.startswith(prefix)
    }
    assert drawn == {node["id"]: sorted(node["upstream"]) for node in graph["nodes"]}


def test_every_component_starts_after_the_run_and_every_one_ends_before_publishing(pipelines: Path) -> None:
    write_pipeline(pipelines, "ordered")
    dag = bag().dags["ordered.training"]
    components = {task.task_id for task in dag.tasks if task.task_id.startswith("components.")}
    assert components <= dag.get_task("start_run").get_flat_relative_ids(upstream=False)
    assert components <= dag.get_task("publish").get_flat_relative_ids(upstream=True)


def test_a_release_waits_for_a_person_where_the_settings_say_so(pipelines: Path) -> None:
    write_pipeline(pipelines, "asked", "kind: image_classification\ntraining: {approval: true}\n")
    write_pipeline(pipelines, "unasked")
    dags = bag().dags
    assert dags["asked.training"].get_task("publish").upstream_task_ids == {"approve", "is_blessed"}
    assert not dags["unasked.training"].has_task("approve")


def test_every_cause_and_reason_that_the_retraining_hands_on_is_one_that_the_training_takes(pipelines: Path) -> None:
    write_pipeline(pipelines, "caused")
    dags = bag().dags
    handed_on = dags["caused.retraining"].get_task("train")
    params = dags["caused.training"].params
    assert set(handed_on.conf) <= set(params)
    assert handed_on.note
    for cause in TrainingCause:
        params["cause"] = cause.value
    with pytest.raises(ParamValidationError):
        params["cause"] = "boredom"


def test_one_run_at_a_time_of_each_dag(pipelines: Path) -> None:
    write_pipeline(pipelines, "single")
    dags = bag().dags
    assert {dags[f"single.{stage}"].max_active_runs for stage in STAGES} == {1}


def test_schedules_owner_tags_and_description_are_the_settings(pipelines: Path) -> None:
    settings = """
description: A line about it.
kind: image_classification
owner: someone
tags: [birds]
evaluation: {schedule: "0 3 * * *"}
training: {schedule: "@weekly"}
"""
    write_pipeline(pipelines, "described", settings)
    dags = bag().dags
    training = dags["described.training"]
    assert training.description == "A line about it."
    assert {"birds", "respan", "training", "described"} <= set(training.tags)
    assert {task.owner for task in training.tasks} == {"someone"}
    assert training.doc_md
    assert dags["described.evaluation"].schedule == "0 3 * * *"
    assert training.schedule == "@weekly"


def test_dags_serialize_to_the_same_document_twice(pipelines: Path) -> None:
    write_pipeline(pipelines, "stable")

    def serialized() -> list[str]:
        dags = bag().dags
        return [
            json.dumps(DagSerialization.to_dict(dags[dag_id]), sort_keys=True)
            for dag_id in sorted(dags)
            if dag_id.startswith("stable.")
        ]

    first = serialized()
    assert len(first) == len(STAGES)
    assert serialized() == first


def test_settings_and_data_are_never_retried_and_storage_backs_off(pipelines: Path) -> None:
    write_pipeline(pipelines, "patient")
    task = bag().dags["patient.training"].get_task("publish")
    assert task.retries == 3
    assert task.retry_exponential_backoff
    assert task.max_retry_delay.total_seconds() == 300


def test_no_dag_file_or_plugin_names_a_pipeline_or_a_kind() -> None:
    pipelines = {file.parent.name for file in (PROJECT / "ml" / "pipelines").glob("*/settings.yaml")}
    names = {*pipelines, *kind_names()}
    assert "image_classification" in names
    files = [file for folder in ("dags", "plugins") for file in (PROJECT / folder).rglob("*") if file.is_file()]
    assert len(files) > 50
    texts = {file: file.read_bytes() for file in files if file.suffix != ".pyc"}
    assert [(file, name) for file, text in texts.items() for name in names if name.encode() in text] == []
