"""The ci_cd DAG's own wiring, with its tasks as Airflow parses them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException

from tests.dags.airflow_home import PROJECT
from tests.dags.git.repositories import Repository
from tests.dags.pipeline_folders import write_pipeline

pytestmark = pytest.mark.slow


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.fixture
def dag(respan_home: Path, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path / "pipelines"))
    text = f"kind: image_classification\nci_cd:\n  remote: {repository.bare}\n"
    write_pipeline(tmp_path / "pipelines", "shipped", text)
    return DagBag(PROJECT / "dags" / "ci_cd.py").dags["shipped.ci_cd"]


def lint(dag: Any, previous: str, revision: str) -> Any:
    task = copy.copy(dag.get_task("verify.lint"))
    task.revision, task.previous = revision, previous
    return task.execute({"run_id": "manual__1"})


def test_what_passed_lint_is_linted_again_when_it_changed_wherever_it_is(dag: Any, repository: Repository) -> None:
    first = repository.push({"ml/a.py": "a = 1\n", "dags/b.py": "b = 1\n"})
    second = repository.push({"dags/b.py": "b = 2\n"})
    assert lint(dag, first, second)["reused"] is False
    assert lint(dag, first, second)["reused"] is True
    third = repository.push({"dags/b.py": "b = unknown\n"})
    with pytest.raises(AirflowFailException, match=r"dags/b\.py:1: F821"):
        lint(dag, first, third)


def test_a_gates_configuration_counts_wherever_it_is(dag: Any, repository: Repository) -> None:
    first = repository.push({"dags/b.py": "b = 1\n"})
    second = repository.push({"dags/b.py": "import os\n\nprint(os.sep)\n"})
    assert lint(dag, first, second)["reused"] is False
    third = repository.push({"dags/ruff.toml": 'lint.select = ["T201"]\n'})
    with pytest.raises(AirflowFailException, match=r"dags/b\.py:3: T201"):
        lint(dag, first, third)
