"""The GitHub Actions workflow that people copy: what it may do, and what its job does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.unit.docs.airflow_double import PASSWORD, TOKEN, USERNAME, AirflowDouble, airflow_double
from tests.unit.docs.github_actions import WORKFLOW, expressions, run_job, step, workflow

REVISION = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
RUN = f"github-{REVISION}"

needs_tools = pytest.mark.skipif(find_spec("check_jsonschema") is None, reason="only in Airflow's environment")


@pytest.fixture
def airflow() -> Iterator[AirflowDouble]:
    with airflow_double() as double:
        yield double


def job(airflow: AirflowDouble, pipeline: str = "flowers", **given: str) -> subprocess.CompletedProcess[str]:
    """The job's end, with a user's name and password unless others are given. Nothing secret is printed."""
    login = {"AIRFLOW_USERNAME": USERNAME, "AIRFLOW_PASSWORD": PASSWORD}
    done = run_job(airflow.url, pipeline, {"REVISION": REVISION, "BRANCH": "main", **login, **given})
    printed = done.stdout.replace(f"::add-mask::{TOKEN}", "") + done.stderr
    assert TOKEN not in printed
    assert PASSWORD not in printed
    assert "Traceback" not in printed
    return done


def failed(airflow: AirflowDouble, pipeline: str = "flowers", **given: str) -> str:
    """What the job says to the person who reads why it failed: one annotation, its last line."""
    done = job(airflow, pipeline, **given)
    assert done.returncode == 1
    [told] = [line for line in done.stdout.splitlines() if line.startswith("::error::")]
    return told


@needs_tools
def test_the_file_is_a_workflow_by_githubs_own_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(WORKFLOW)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@needs_tools
def test_its_script_has_the_style_of_the_project(tmp_path: Path) -> None:
    script = tmp_path / "step.py"
    script.write_text(step()["run"])
    config = WORKFLOW.parent.parent.parent / "pyproject.toml"
    for arguments in (["check", "--ignore", "T201,S310"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", "--config", str(config), str(script)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_it_has_no_rights_uses_no_foreign_action_and_ends() -> None:
    document = workflow()
    assert document["permissions"] == {}
    assert "uses" not in step()
    assert document["jobs"]["ci_cd"]["timeout-minutes"] <= 120
    assert document["jobs"]["ci_cd"]["concurrency"]["cancel-in-progress"] is False


def test_nothing_from_outside_is_written_into_the_script() -> None:
    assert "${{" not in step()["run"]
    assert step()["shell"] == "python"
    found = expressions(step()["env"])
    assert {name: source for name, source in found.items() if source.startswith("secrets.")} == {
        name: f"secrets.{name}" for name in ("AIRFLOW_USERNAME", "AIRFLOW_PASSWORD", "AIRFLOW_TOKEN")
    }
    assert WORKFLOW.read_text().count("secrets.") == 3


def test_a_push_starts_one_run_with_its_revision_and_branch(airflow: AirflowDouble) -> None:
    airflow.states = ["queued", "success"]
    done = job(airflow)
    assert done.returncode == 0, done.stdout
    conf = {"revision": REVISION, "branch": "main"}
    assert airflow.runs == {RUN: {"dag_run_id": RUN, "logical_date": None, "conf": conf}}
    assert f"{airflow.url}/dags/flowers.ci_cd/runs/{RUN}" in done.stdout


def test_a_token_does_instead_of_a_password(airflow: AirflowDouble) -> None:
    done = job(airflow, AIRFLOW_TOKEN=TOKEN, AIRFLOW_USERNAME="", AIRFLOW_PASSWORD="")
    assert done.returncode == 0
    assert "POST /auth/token" not in airflow.requests


def test_a_failed_run_fails_the_job_and_says_where_to_look(airflow: AirflowDouble) -> None:
    airflow.states = ["running", "failed"]
    assert f"the run failed: {airflow.url}/dags/flowers.ci_cd/runs/{RUN}" in failed(airflow)


def test_a_run_without_anything_to_do_is_not_told_as_the_revisions_success(airflow: AirflowDouble) -> None:
    airflow.detect, airflow.states = "skipped", ["running", "success"]
    done = job(airflow)
    assert done.returncode == 0
    [told] = [line for line in done.stdout.splitlines() if line.startswith("::notice::")]
    assert told.startswith("::notice::another run has this revision, or it is processed already")
    assert "succeeded" not in done.stdout


def test_a_run_that_took_the_revision_is_told_without_a_notice(airflow: AirflowDouble) -> None:
    done = job(airflow)
    assert "the run succeeded" in done.stdout
    assert "::notice::" not in done.stdout


def test_airflow_may_be_away_when_it_is_asked_about_detect(airflow: AirflowDouble) -> None:
    airflow.detect, airflow.faults = "skipped", [None, None, None, None, 503]
    assert "::notice::" in job(airflow).stdout


def test_it_need_not_wait(airflow: AirflowDouble) -> None:
    airflow.states = ["failed"]
    assert job(airflow, AIRFLOW_WAIT="no").returncode == 0
    assert list(airflow.runs) == [RUN]
    assert f"GET /api/v2/dags/flowers.ci_cd/dagRuns/{RUN}" not in airflow.requests


def test_running_the_job_again_is_no_second_run(airflow: AirflowDouble) -> None:
    job(airflow)
    again = job(airflow)
    assert again.returncode == 0
    assert "an earlier attempt" in again.stdout
    assert list(airflow.runs) == [RUN]
    assert airflow.cleared == []


def test_running_the_job_again_after_a_failure_runs_the_failed_tasks_again(airflow: AirflowDouble) -> None:
    airflow.states = ["failed"]
    failed(airflow)
    airflow.states = ["failed", "running", "success"]
    assert job(airflow).returncode == 0
    assert airflow.cleared == [["processed", "verify.test"]]


def test_a_failed_run_without_a_failed_task_runs_again_as_a_whole(airflow: AirflowDouble) -> None:
    airflow.states, airflow.failed_tasks = ["failed"], []
    failed(airflow)
    airflow.states = ["failed", "success"]
    assert job(airflow).returncode == 0
    assert airflow.cleared == [None]


def test_an_answer_that_is_lost_is_found_by_running_the_job_again(airflow: AirflowDouble) -> None:
    airflow.faults = [None, None, 0]
    assert "can't be reached" in failed(airflow)
    assert job(airflow).returncode == 0
    assert list(airflow.runs) == [RUN]


def test_airflow_may_be_away_while_the_run_goes_on(airflow: AirflowDouble) -> None:
    airflow.faults = [None, None, None, 503, 0, 429]
    airflow.states = ["success"]
    assert job(airflow).returncode == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"AIRFLOW_PASSWORD": "wrong"}, "refuses AIRFLOW_USERNAME and AIRFLOW_PASSWORD (401)"),
        ({"AIRFLOW_TOKEN": "expired"}, "the token is wrong or has expired"),
        ({"AIRFLOW_PASSWORD": ""}, "set the secrets"),
        ({"pipeline": "unknown"}, "no DAG unknown.ci_cd"),
        ({"AIRFLOW_URL": "http://airflow.example"}, "begins with https://"),
        ({"AIRFLOW_URL": ""}, "set the variable AIRFLOW_URL"),
        ({"AIRFLOW_URL": "http://127.0.0.1:9"}, "can't be reached"),
    ],
)
def test_what_is_set_wrong_is_named_in_one_line(airflow: AirflowDouble, given: dict[str, str], words: str) -> None:
    address = given.pop("AIRFLOW_URL", None)
    if address is not None:
        airflow.url = address
    assert words in failed(airflow, **given)
    assert airflow.runs == {}


def test_a_paused_dag_is_told_instead_of_waited_for(airflow: AirflowDouble) -> None:
    airflow.paused["flowers.ci_cd"] = True
    assert "unpause it" in failed(airflow)
    assert airflow.runs == {}


@pytest.mark.parametrize("status", [302, 307, 403, 500])
def test_an_answer_that_is_no_success_ends_the_job(airflow: AirflowDouble, status: int) -> None:
    airflow.faults = [None, status]
    assert f"Airflow refuses ({status})" in failed(airflow)
    assert not any("elsewhere" in request for request in airflow.requests)


@pytest.mark.parametrize(
    "branch",
    [
        "$(touch${IFS}made)",
        "`touch made`",
        "a;touch${IFS}made;#",
        'a"+__import__("os").system("touch made")+"',
        "'''\nraise SystemExit(3)\n'''",
        "%s{0}{PIPELINE}",
        "${{secrets.AIRFLOW_PASSWORD}}",
        "::stop-commands::x",
        "--help",
        "größe/ß",
    ],
)
def test_a_branchs_name_is_only_ever_a_name(airflow: AirflowDouble, branch: str, tmp_path: Path) -> None:
    branch = branch.replace("made", str(tmp_path / "made"))
    done = job(airflow, BRANCH=branch)
    assert done.returncode == 0, done.stdout
    assert airflow.runs[RUN]["conf"]["branch"] == branch
    assert list(tmp_path.iterdir()) == []
    commands = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert commands == [f"::add-mask::{TOKEN}"]
