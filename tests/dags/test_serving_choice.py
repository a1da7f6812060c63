"""What a person lets serve with the form of the serving DAG."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError
from respan.serving_choice import ServingChoice, choose

from ml import layout, releases
from ml.errors import NotFoundError
from ml.home import pipeline_storage
from ml.records import ReleaseRecord, now
from ml.storage import Storage
from tests.dags.airflow_home import PROJECT
from tests.dags.pipeline_folders import write_pipeline


@pytest.fixture
def storage(respan_home: Path) -> Storage:
    """Versions 1, 2 and 3, none of which serves."""
    storage = pipeline_storage("digits")
    for version in (1, 2, 3):
        storage.write(f"{layout.model(version)}/saved_model.pb", b"")
        record = ReleaseRecord(
            version=version, run=f"run-{version}", window=[1], created=now(), metrics={}, classes=["a"], code="0"
        )
        releases.record_release(storage, record)
    return storage


def test_a_version_that_is_named_is_taken(storage: Storage) -> None:
    assert choose(storage, 2, 10, "a canary") == ServingChoice(2, 10, "a canary")


def test_without_a_version_it_is_the_one_before_and_twice_goes_further_back(storage: Storage) -> None:
    for version in (1, 2, 3):
        releases.serve(storage, version, "released")
    assert choose(storage, None, 100, None) == ServingChoice(2, 100, "rolled back from version 3")
    releases.serve(storage, 2, "back", again=True)
    assert choose(storage, None, 100, None).version == 1
    releases.serve(storage, 1, "back", again=True)
    with pytest.raises(NotFoundError, match="version 1 is the first that served"):
        choose(storage, None, 100, None)


def test_what_is_not_there_is_told_with_what_is(storage: Storage) -> None:
    with pytest.raises(NotFoundError, match=r"no release 9 .*found: 1, 2, 3"):
        choose(storage, 9, 100, None)
    with pytest.raises(NotFoundError, match="nothing was released yet"):
        choose(storage, None, 100, None)
    storage.delete_tree(layout.model(2))
    with pytest.raises(NotFoundError, match="the model of version 2 is gone"):
        choose(storage, 2, 100, None)


def test_the_dag_has_a_form_and_two_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path))
    write_pipeline(tmp_path, "served")
    dag = DagBag(PROJECT / "dags" / "serving.py").dags["served.serving"]
    assert dag.get_task("serve").upstream_task_ids == {"choose"}
    assert dag.max_active_runs == 1
    assert dag.schedule is None
    for key, wrong in (("version", 0), ("share", 0), ("share", 101), ("share", 1.5)):
        with pytest.raises(ParamValidationError):
            dag.params[key] = wrong
