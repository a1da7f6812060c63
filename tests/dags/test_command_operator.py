"""The operator against the real command line, in a process of its own (no warm process: it would outlive the test)."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from respan.failures import failure
from respan.hooks.cold_command import ColdCommand
from respan.hooks.tfx import TfxHook
from respan.operators.command import MlCommandOperator
from respan.operators.tfx_node import TfxNodeOperator

from ml.errors import ERRORS_BY_EXIT_CODE, MissingEnvironmentError
from tests.dags.pipeline_folders import write_pipeline


@pytest.fixture(autouse=True)
def cold(respan_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Light commands run with this interpreter as well as with TFX's."""
    monkeypatch.setenv("RESPAN_WARM_IDLE_SECONDS", "0")
    monkeypatch.setenv("RESPAN_TFX_PYTHON", sys.executable)
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path / "pipelines"))
    write_pipeline(tmp_path / "pipelines", "tried")


def run(*arguments: Any) -> Any:
    return MlCommandOperator(task_id="tried", arguments=arguments).execute({})


def test_the_commands_document_is_the_tasks_result() -> None:
    assert run("batch", "list", "tried") == {"batches": [], "open": None}


def test_a_command_that_no_retry_can_help_fails_the_task_at_once_with_its_own_message() -> None:
    with pytest.raises(AirflowFailException, match="there is no pipeline 'unknown'"):
        run("batch", "list", "unknown")


def test_a_storage_error_is_left_to_a_retry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("RESPAN_STORAGE", f"file://{tmp_path}/a file")
    with pytest.raises(AirflowException) as raised:
        run("batch", "list", "tried")
    assert not isinstance(raised.value, AirflowFailException)


def test_a_missing_argument_is_told_before_anything_runs() -> None:
    with pytest.raises(AirflowException, match="an earlier task returned nothing"):
        run("batch", "show", "tried", None)


def test_what_the_command_says_on_standard_error_is_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AirflowFailException):
        run("batch", "show", "tried", "nothing-00000000")
    assert "error: there is no batch 'nothing-00000000'" in capsys.readouterr().out


def test_hostile_arguments_stay_arguments() -> None:
    with pytest.raises(AirflowFailException, match=r"\$\(touch /tmp/x\); 'rm'"):
        run("batch", "list", "$(touch /tmp/x); 'rm'")


def test_a_missing_environment_names_the_command_that_builds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RESPAN_TFX_PYTHON")
    with pytest.raises(AirflowFailException, match="make setup"):
        run("batch", "list", "tried")
    with pytest.raises(MissingEnvironmentError):
        TfxHook().interpreter()


def test_nothing_of_airflows_environment_reaches_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PRODUCTION", "postgres://user:secret@host")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("SOME_TOKEN", "secret")
    passed_on = TfxHook().environment()
    assert "secret" not in " ".join(passed_on.values())
    assert {"RESPAN_HOME", "RESPAN_STORAGE", "PATH"} <= set(passed_on)


@pytest.mark.parametrize("kind", ERRORS_BY_EXIT_CODE.values(), ids=lambda kind: kind.__name__)
def test_an_exit_code_is_retried_just_when_its_error_says_so(kind: Any) -> None:
    raised = failure(kind.exit_code, "why")
    assert isinstance(raised, AirflowFailException) is not kind.retryable
    assert str(raised) == "why"


def test_a_killed_command_is_left_to_a_retry_and_names_the_signal() -> None:
    raised = failure(-9, "the last line")
    assert not isinstance(raised, AirflowFailException)
    assert "SIGKILL" in str(raised)


def test_killing_a_command_kills_what_it_started(tmp_path: Path) -> None:
    """``sh -m ml …`` can't be had, so a script stands where the interpreter is: it starts a child and waits."""
    script, pid_file = tmp_path / "interpreter", tmp_path / "child"
    script.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {pid_file}.new && mv {pid_file}.new {pid_file}\nwait\n")
    script.chmod(0o755)
    with (tmp_path / "output").open("wb") as output:
        command = ColdCommand([], python=script, environment={}, stdout=output.fileno(), stderr=output.fileno())
        while not pid_file.exists():
            time.sleep(0.01)
        killer = threading.Timer(0.05, command.kill)
        killer.start()
        assert command.wait() == -9
    child = int(pid_file.read_text())
    assert _ends(child)


def test_a_command_dies_with_the_task_that_runs_it(tmp_path: Path) -> None:
    script, pid_file = tmp_path / "interpreter", tmp_path / "child"
    script.write_text(f"#!/bin/sh\necho $$ > {pid_file}.new && mv {pid_file}.new {pid_file}\nexec sleep 600\n")
    script.chmod(0o755)
    task = os.fork()
    if task == 0:
        ColdCommand([], python=script, environment={"PATH": os.environ["PATH"]}, stdout=1, stderr=2).wait()
        os._exit(0)
    while not pid_file.exists():
        time.sleep(0.01)
    os.kill(task, 9)
    os.waitpid(task, 0)
    assert _ends(int(pid_file.read_text()))


def test_a_components_task_shows_the_components_type() -> None:
    task = TfxNodeOperator(task_id="t", pipeline="tried", node="Trainer", component="tfx.components.trainer.Trainer")
    assert task.operator_name == "Trainer"
    assert task.arguments[:4] == ["run-node", "tried", "--node", "Trainer"]


def _ends(pid: int) -> bool:
    """Whether the process is gone (or only waits to be reaped) soon."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False
