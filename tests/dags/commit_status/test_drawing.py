"""The tasks that report, as the ci_cd DAG draws them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from respan.operators.commit_status import CommitStatusOperator

from tests.dags.airflow_home import PROJECT
from tests.dags.commit_status.conftest import REPOSITORY, Connect
from tests.dags.commit_status.github_double import GitHubDouble
from tests.dags.pipeline_folders import write_pipeline

REPORTS = {"report_pending", "report"}

PARSE = """
import sys
from airflow.dag_processing.dagbag import DagBag

dags = DagBag(sys.argv[1]).dags
print(*sorted(dags))
print(*sorted(sys.modules))
"""


@pytest.fixture
def pipelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pipelines: one that reports its status to GitHub, and one that doesn't."""
    settings = "kind: image_classification\nci_cd: {remote: https://github.com/team/models, status: %s}\n"
    write_pipeline(tmp_path, "told", settings % "github")
    write_pipeline(tmp_path, "untold", settings % "none")
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path))
    return tmp_path


def dag(name: str) -> Any:
    return DagBag(PROJECT / "dags" / "ci_cd.py").dags[f"{name}.ci_cd"]


def test_without_a_status_there_are_no_tasks_for_it(pipelines: Path) -> None:
    assert set(dag("told").task_ids) >= REPORTS
    assert not REPORTS & set(dag("untold").task_ids)


def test_reporting_decides_nothing(pipelines: Path) -> None:
    """No other task waits for it, and the run's state leaves it out."""
    drawn = dag("told")
    for task in map(drawn.get_task, REPORTS):
        assert task.is_teardown
        assert not task.on_failure_fail_dagrun
        assert task.downstream_task_ids <= REPORTS


def test_the_report_waits_for_everything_else(pipelines: Path) -> None:
    drawn = dag("told")
    assert drawn.get_task("report").get_flat_relative_ids(upstream=True) == set(drawn.task_ids) - {"report"}
    assert drawn.get_task("report_pending").upstream_task_ids == {"detect"}


def test_the_task_that_means_all_went_well_is_in_the_dag(pipelines: Path) -> None:
    drawn = dag("told")
    assert drawn.has_task(drawn.get_task("report").done)


@pytest.mark.slow
def test_no_client_of_github_is_imported_when_the_dag_is_parsed(pipelines: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (PROJECT, PROJECT / "plugins")))}
    command = [sys.executable, "-c", PARSE, str(PROJECT / "dags" / "ci_cd.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *_, found, imported = done.stdout.splitlines()
    assert "told.ci_cd" in found.split()
    assert "respan.operators.commit_status" in imported.split()
    assert not {"github", "airflow.providers.github.hooks"} & set(imported.split())


@pytest.mark.parametrize("revision", [None, "", "None"])
def test_without_a_revision_there_is_nothing_to_report(revision: str | None) -> None:
    with pytest.raises(AirflowSkipException):
        CommitStatusOperator(task_id="report", pipeline="told", revision=revision, state="pending").execute({})


@pytest.mark.parametrize("revision", ["main", "../../user", "4B825DC642CB6EB9A060E54BF8D69288FBEE4904", "4b825dc"])
def test_what_is_no_revision_reaches_nobody(
    pipelines: Path, github: GitHubDouble, connect: Connect, revision: str
) -> None:
    connect(extra={"repository": REPOSITORY})
    tried = CommitStatusOperator(task_id="tried", pipeline="told", revision=revision, state="pending", dag=dag("told"))
    with pytest.raises(AirflowFailException, match="is no revision"):
        tried.execute({"run_id": "one"})
    assert github.requests == 0
