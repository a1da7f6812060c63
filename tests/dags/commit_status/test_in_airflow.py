"""Commit statuses of runs in a real Airflow, started by the GitHub Actions job that people copy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.airflow_local import LocalAirflow
from tests.dags.commit_status.conftest import REPOSITORY, TOKEN
from tests.dags.commit_status.github_double import SERVER_ERROR, GitHubDouble, Token, github_double
from tests.dags.pipeline_folders import write_pipeline
from tests.unit.docs.github_actions import run_job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DAG_ID = "flowers.ci_cd"

#: Its steps do as the branch's name says. ``clean_up`` always fails, which decides nothing.
DAG_FILE = """
from datetime import timedelta

from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from respan.operators.commit_status import report_commit_status

from ml.settings import load_settings

with DAG(
    "flowers.ci_cd",
    params={"revision": Param(None, type=["null", "string"]), "branch": "main"},
    default_args={"retries": 1, "retry_delay": timedelta(seconds=1)},
    is_paused_upon_creation=False,
):

    @task(task_id="detect")
    def detect(*, params):
        if not params["revision"]:
            raise AirflowSkipException("nothing new")
        return {"revision": params["revision"]}

    @task(task_id="verify.test")
    def test(*, params, ti):
        if params["branch"] == "broken" or (params["branch"] == "mended" and ti.try_number == 1):
            raise AirflowFailException("1 test failed")

    @task(task_id="processed")
    def processed():
        pass

    @task(task_id="clean_up", retries=0)
    def clean_up():
        raise AirflowFailException("can't be removed")

    @task(task_id="decide_scope")
    def decide_scope(*, params, ti):
        documentation = params["branch"] == "docs"
        ti.xcom_push("scope", "none" if documentation else "modules")
        ti.xcom_push("reason", "documentation only" if documentation else "only model.py")

    detected, decided, done = detect(), decide_scope(), processed()
    detected >> decided >> test() >> done >> clean_up().as_teardown()
    report_commit_status(load_settings("flowers"), detected=detected, decided=decided, ended=[done])
"""


class Deployment:
    """An Airflow with that one DAG, and a GitHub that it reports to."""

    def __init__(self, folder: Path, github: GitHubDouble) -> None:
        (folder / "dags").mkdir()
        (folder / "dags" / "ci_cd.py").write_text(DAG_FILE)
        status = f"ci_cd:\n  remote: {github.remote(REPOSITORY)}\n  status: github\n"
        write_pipeline(folder / "pipelines", "flowers", f"kind: image_classification\n{status}")
        connection = {"conn_type": "github", "password": TOKEN, "host": github.api}
        self.github = github
        self.airflow = LocalAirflow(
            folder / "home",
            pipelines=str(folder / "pipelines"),
            environment={
                "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
                "AIRFLOW_CONN_GITHUB_DEFAULT": json.dumps(connection),
            },
        )
        self._revisions = 0

    def revision(self) -> str:
        """A new one, which GitHub has."""
        self._revisions += 1
        made = f"{self._revisions:040x}"
        self.github.commits[REPOSITORY].add(made)
        return made

    def push(self, revision: str, branch: str = "main") -> int:
        """What the GitHub Actions job does for a push; its exit code."""
        login = {"AIRFLOW_USERNAME": "admin", "AIRFLOW_PASSWORD": self.airflow.api.user.password}
        done = run_job(self.airflow.url, "flowers", {"REVISION": revision, "BRANCH": branch, **login})
        assert "Traceback" not in done.stderr
        return done.returncode

    def reported(self, revision: str) -> list[tuple[str, str]]:
        return [
            (status["state"], status["description"]) for status in self.github.statuses if status["sha"] == revision
        ]

    def task_states(self, run_id: str) -> dict[str, str | None]:
        return self.airflow.task_states(DAG_ID, run_id)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with github_double() as github:
        github.commits[REPOSITORY] = set()
        made = Deployment(tmp_path_factory.mktemp("commit-status"), github)
        with made.airflow:
            made.airflow.wait_for_dags(DAG_ID)
            yield made


@pytest.fixture(autouse=True)
def token(deployment: Deployment) -> None:
    deployment.github.tokens = {TOKEN: Token((REPOSITORY,))}


def test_a_push_shows_as_pending_and_then_as_done_with_a_link_to_its_run(deployment: Deployment) -> None:
    revision = deployment.revision()
    assert deployment.push(revision) == 0
    assert deployment.reported(revision) == [("pending", "running"), ("success", "done: only model.py")]
    address = f"{deployment.airflow.url}/dags/{DAG_ID}/runs/github-{revision}"
    assert {status["target_url"] for status in deployment.github.statuses if status["sha"] == revision} == {address}
    assert deployment.task_states(f"github-{revision}")["clean_up"] == "failed"


def test_a_push_that_needs_nothing_is_a_success_that_says_so_also_where_github_was_in_trouble(
    deployment: Deployment,
) -> None:
    revision = deployment.revision()
    deployment.github.faults = [SERVER_ERROR]
    assert deployment.push(revision, "docs") == 0
    assert deployment.reported(revision) == [("pending", "running"), ("success", "nothing to do: documentation only")]


def test_a_failure_names_its_task_and_the_same_job_again_mends_it(deployment: Deployment) -> None:
    revision = deployment.revision()
    assert deployment.push(revision, "mended") == 1
    assert deployment.reported(revision)[-1] == ("failure", "failed at verify.test")
    assert deployment.push(revision, "mended") == 0
    assert deployment.reported(revision)[-1] == ("success", "done: only model.py")
    assert deployment.push(revision, "mended") == 0
    assert deployment.airflow.run_ids(DAG_ID).count(f"github-{revision}") == 1


def test_a_run_without_a_revision_reports_nothing(deployment: Deployment) -> None:
    before = deployment.github.requests
    run_id = deployment.airflow.trigger(DAG_ID)
    assert deployment.airflow.wait(DAG_ID, run_id, timeout=120) == "success"
    states = deployment.task_states(run_id)
    assert (states["report_pending"], states["report"]) == ("skipped", "skipped")
    assert deployment.github.requests == before


def test_a_github_that_refuses_fails_no_run(deployment: Deployment) -> None:
    revision = deployment.revision()
    deployment.github.tokens = {}
    assert deployment.push(revision) == 0
    states = deployment.task_states(f"github-{revision}")
    assert (states["report_pending"], states["report"], states["processed"]) == ("failed", "failed", "success")
    log = deployment.airflow.task_log(DAG_ID, f"github-{revision}", "report")
    assert "GitHub refuses the token of connection 'github_default'" in log
    assert "is not reported" in log


def test_no_file_of_airflow_holds_the_token(deployment: Deployment) -> None:
    home = deployment.airflow.home
    files = [file for file in home.rglob("*") if file.is_file()]
    assert any(file.suffix == ".log" for file in files)
    assert [file for file in files if TOKEN.encode() in file.read_bytes()] == []
