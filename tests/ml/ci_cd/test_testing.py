"""``ci-cd test``: a checkout's tests in the warm process's fork and cold, and whatever they do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ml.ci_cd.junit import read_junit
from ml.errors import CodeError
from ml.home import PROJECT
from tests.ml.ci_cd.installed import FIRST, PIPELINE, SECOND, document, edit, error, new_checkout, step
from tests.unit.warm.warm_project import Project, project_in, runs, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FOLDER = Path("ml/pipelines") / PIPELINE

TEST = f"""
import os, subprocess, sys, time
from pathlib import Path
from ml.pipelines.{PIPELINE} import settings

def test_first():
    pass

"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with project_in(tmp_path_factory.mktemp("installed"), preload=True) as made:
        edit(
            made.folder / "ml" / "pipelines" / PIPELINE / "settings.yaml",
            "ci_cd:\n",
            "ci_cd:\n  limits: {seconds: 30}\n",
        )
        yield made


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of a repository that holds nothing but the pipeline, with one small test."""
    folder = tmp_path / "checkout"
    shutil.copytree(PROJECT / FOLDER, folder / FOLDER, ignore=shutil.ignore_patterns("__pycache__", "*_test.py"))
    return folder


@pytest.fixture(params=["warm", "cold"])
def run(
    request: pytest.FixtureRequest, project: Project, checkout: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``ci-cd test`` with a test file of the pipeline, in the warm process and as a process of its own."""

    def run_test(text: str, *more: str, revision: str = FIRST) -> subprocess.CompletedProcess[str]:
        (checkout / FOLDER / "model_test.py").write_text(TEST + text)
        if request.param == "warm":
            return step(project, "test", checkout, revision, *more)
        where = ("--checkout", str(checkout), "--revision", revision)
        return project.cold("ci-cd", "test", PIPELINE, *where, *more, "--json")

    return run_test


Run = Callable[..., subprocess.CompletedProcess[str]]


def junit(project: Project, revision: str = FIRST) -> Path:
    return project.home / "storage" / PIPELINE / "revisions" / revision / "junit.xml"


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == CodeError.exit_code, done.stderr[-3000:]
    return error(done)


def test_the_tests_of_a_checkout_pass_and_their_results_are_kept(run: Run, project: Project, checkout: Path) -> None:
    before = sorted(checkout.rglob("*"))
    made = document(run("def test_second():\n    assert settings.__file__.startswith(str(Path.cwd()))\n"))
    assert (made["tests"], made["failed"], made["skipped"], made["reused"]) == (2, 0, 0, False)
    assert made["junit"] == str(junit(project))
    assert read_junit(junit(project).read_bytes()).tests == 2
    assert set(checkout.rglob("*")) - set(before) == {checkout / FOLDER / "model_test.py"}


def test_a_failing_test_is_named_with_its_line_and_its_results_are_kept(run: Run, project: Project) -> None:
    done = run("def test_bad():\n    accuracy = 0.25\n    assert accuracy > 0.5, 'too bad'\n", revision=SECOND)
    line = len(TEST.splitlines()) + 3
    assert refusal(done) == f"1 of 2 tests failed: model_test.py::test_bad (line {line}): AssertionError: too bad"
    assert "assert accuracy > 0.5, 'too bad'" in done.stderr
    assert read_junit(junit(project, SECOND).read_bytes()).failed == 1


def test_a_syntax_error_in_a_module_is_named_with_file_and_line(run: Run, checkout: Path) -> None:
    (checkout / FOLDER / "broken.py").write_text("x = 1\n\ndef y(:\n")
    done = run(f"import ml.pipelines.{PIPELINE}.broken\n")
    assert refusal(done) == "1 of 1 tests failed: model_test.py (broken.py line 3): SyntaxError: invalid syntax"


def test_settings_that_can_not_be_read_are_told(run: Run, checkout: Path) -> None:
    (checkout / FOLDER / "settings.py").write_text("def y(:\n")
    told = refusal(run(""))
    assert "/settings.py:1" in told
    assert "SyntaxError" in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("os._exit(0)", "the tests (at {test}) ended their process with exit code 0 before pytest was done"),
        ("os.kill(os.getpid(), 11)", "the tests (at {test}) crashed: killed by signal 11"),
    ],
)
def test_a_test_that_ends_the_process_is_named(run: Run, text: str, message: str) -> None:
    done = run(f"def test_rude():\n    {text}\n")
    assert refusal(done) == message.format(test="model_test.py::test_rude")


def test_a_test_that_hangs_is_ended_and_named(project: Project, checkout: Path, run: Run) -> None:
    settings = project.folder / FOLDER / "settings.yaml"
    edit(settings, "seconds: 30", "seconds: 3")
    try:
        done = run("def test_hang():\n    time.sleep(600)\n")
    finally:
        edit(settings, "seconds: 3", "seconds: 30")
    assert refusal(done) == (
        "the tests (at model_test.py::test_hang) took longer than 3 s and were ended (ci_cd.limits.seconds)"
    )


def test_a_process_that_is_left_behind_is_told_and_ended(run: Run, checkout: Path) -> None:
    done = run(
        "def test_leaving():\n"
        "    child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "    Path('left').write_text(str(child.pid))\n"
    )
    assert document(done)["failed"] == 0
    assert "the tests left processes behind, which were ended: sleep" in done.stderr
    assert not runs(int((checkout / "left").read_text()))


def test_tests_see_no_secret_of_their_caller(project: Project, checkout: Path) -> None:
    text = (
        "def test_secrets():\n"
        "    seen = Path('/proc/self/environ').read_text() + str(os.environ)\n"
        "    assert 'hunter2' not in seen\n"
    )
    (checkout / FOLDER / "model_test.py").write_text(TEST + text)
    secrets = {"GOOGLE_APPLICATION_CREDENTIALS": "/hunter2", "HTTPS_PROXY": "http://me:hunter2@127.0.0.1:9"}
    arguments = ("ci-cd", "test", PIPELINE, "--checkout", str(checkout), "--revision", FIRST, "--json")
    with project_in(checkout.parent / "other", preload=False) as other:  # it is started with the secrets
        assert document(other.warm(*arguments, **secrets))["tests"] == 2
    assert document(project.cold(*arguments, **secrets))["tests"] == 2


def test_what_passed_is_not_run_again_for_the_same_content(run: Run, request: pytest.FixtureRequest) -> None:
    content = f"content of {request.node.name}"
    assert document(run("", "--content", content))["reused"] is False
    again = document(run("def test_bad():\n    assert False\n", "--content", content, revision=SECOND))
    assert (again["reused"], again["tests"]) == (True, 1)
    assert FIRST in again["junit"]
    assert "1 of 2 tests failed" in refusal(run("def test_bad():\n    assert False\n", "--content", "other"))
    assert "1 of 2 tests failed" in refusal(run("def test_bad():\n    assert False\n", "--content", "other"))
    assert "1 of 2 tests failed" in refusal(run("def test_bad():\n    assert False\n"))


def test_without_tests_the_step_passes_and_says_so(project: Project, checkout: Path) -> None:
    done = step(project, "test", checkout, FIRST)
    assert document(done) == {"tests": 0, "failed": 0, "skipped": 0, "seconds": 0.0, "junit": None, "reused": False}


def test_a_checkout_with_the_whole_project_is_tested_with_its_own_code(project: Project, tmp_path: Path) -> None:
    whole = new_checkout(tmp_path / "whole")
    (whole / "ml" / "new_module.py").write_text("ANSWER = 42\n")
    for file in (whole / FOLDER).glob("*_test.py"):
        file.unlink()
    (whole / FOLDER / "model_test.py").write_text(
        "from ml.new_module import ANSWER\n\ndef test_it():\n    assert ANSWER == 42\n"
    )
    kind = whole / "ml" / "kinds" / "image_classification"
    (kind / "kind_test.py").write_text("def test_kind():\n    pass\n")
    assert document(step(project, "test", whole, FIRST))["tests"] == 2


def test_the_pipelines_own_tests_pass_in_the_sandbox(project: Project, tmp_path: Path) -> None:
    shutil.copytree(PROJECT / FOLDER, tmp_path / FOLDER, ignore=shutil.ignore_patterns("__pycache__"))
    settings = project.folder / FOLDER / "settings.yaml"
    edit(settings, "seconds: 30", "seconds: 600")
    try:
        made = document(step(project, "test", tmp_path, FIRST))
    finally:
        edit(settings, "seconds: 600", "seconds: 30")
    assert made["tests"] > 5


@pytest.mark.parametrize("victim", ["client", "worker", "session", "server"])
def test_whoever_is_killed_nothing_of_the_tests_lives_on(project: Project, checkout: Path, victim: str) -> None:
    ids = checkout / "ids"
    (checkout / FOLDER / "model_test.py").write_text(
        TEST
        + "def test_hang():\n"
        + "    child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        + f"    Path({str(ids)!r}).write_text(f'{{os.getppid()}} {{os.getpid()}} {{child.pid}} .')\n"
        + "    time.sleep(600)\n"
    )
    arguments = ("--checkout", str(checkout), "--revision", FIRST)
    process = project.start("ci-cd", "test", PIPELINE, *arguments)
    wait_until(lambda: ids.exists() and ids.read_text().endswith("."), "the tests")
    started = [int(pid) for pid in ids.read_text().split()[:3]]
    worker = parent(started[0])
    session = parent(worker)
    victims = {"client": process.pid, "worker": worker, "session": session, "server": parent(session)}
    os.kill(victims[victim], signal.SIGKILL)
    process.communicate(timeout=60)
    for pid in started:
        wait_until(lambda pid=pid: not runs(pid), f"the end of {pid}")  # type: ignore[misc]
    ids.unlink()
    (checkout / FOLDER / "model_test.py").write_text(TEST)
    assert document(step(project, "test", checkout, FIRST))["tests"] == 1


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
