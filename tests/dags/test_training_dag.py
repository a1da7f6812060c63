"""The training DAG around its components: what comes after what, and what is left when something failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError

from tests.dags.airflow_home import PROJECT
from tests.dags.pipeline_folders import write_pipeline


@pytest.fixture
def dag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path))
    write_pipeline(tmp_path, "drawn")
    return DagBag(PROJECT / "dags").dags["drawn.training"]


def test_a_release_is_told_of_when_it_serves(dag: Any) -> None:
    assert dag.get_task("serve").upstream_task_ids == {"publish"}
    assert dag.get_task("released").upstream_task_ids == {"publish", "serve"}


def test_the_end_waits_for_every_component_and_for_a_start_that_failed(dag: Any) -> None:
    end = dag.get_task("end_run")
    components = {task.task_id for task in dag.tasks if task.task_id.startswith("components.")}
    assert end.is_teardown
    assert not end.on_failure_fail_dagrun
    assert end.upstream_task_ids == {*components, "start_run", "released"}
    # With a setup it would be skipped where that failed.
    assert not any(task.is_setup for task in dag.tasks)


@pytest.mark.parametrize("target", [None, "local", "vertex"])
def test_the_form_takes_the_targets_that_there_are(dag: Any, target: str | None) -> None:
    dag.params["target"] = target
    with pytest.raises(ParamValidationError):
        dag.params["target"] = "moon"


def test_the_job_and_each_components_log_are_linked(dag: Any) -> None:
    names = {
        task: [link.name for link in dag.get_task(task).operator_extra_links]
        for task in ("start_run", "components.Trainer")
    }
    assert names == {"start_run": ["Vertex AI pipeline"], "components.Trainer": ["Vertex AI log"]}


@pytest.mark.parametrize("training", ["approval: true", "when_unsure: ask"])
def test_a_person_is_asked_before_the_release_where_settings_may_want_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, training: str
) -> None:
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path))
    write_pipeline(tmp_path, "asking", f"kind: image_classification\ntraining: {{{training}}}\n")
    asking: Any = DagBag(PROJECT / "dags").dags["asking.training"]
    assert asking.get_task("approve").upstream_task_ids == {"is_blessed"}
    assert asking.get_task("publish").upstream_task_ids == {"is_blessed", "approve"}
    assert asking.get_task("publish").confirmed_by == "approve"


def test_nobody_is_asked_by_default(dag: Any) -> None:
    assert not {"approve", "is_blessed"} & set(dag.task_ids)
    assert dag.get_task("publish").confirmed_by is None
