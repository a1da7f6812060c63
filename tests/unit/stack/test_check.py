"""The script that checks a stack, without one: what it says of commands that fail, and that the page tells the same."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from scripts.stack import check
from scripts.stack.check_of_memory import DUMP, LOAD, PACK, UNPACK
from scripts.stack.engine import BrokenPromiseError, Engine, run

PROJECT = Path(__file__).resolve().parents[3]
PAGE = (PROJECT / "docs" / "stack.md").read_text("utf-8")


def test_a_command_that_fails_is_told_with_its_last_words() -> None:
    failing = [sys.executable, "-c", "import sys; print('one', 'two', sep='\\n', file=sys.stderr); sys.exit(3)"]
    with pytest.raises(BrokenPromiseError, match=r"ended with 3: two$"):
        run(failing)


def test_a_command_reads_and_writes_files_as_they_are(tmp_path: Path) -> None:
    given, into = tmp_path / "given", tmp_path / "into"
    given.write_bytes(b"\x00\xff\n")
    assert run(["cat"], given=given, into=into) == ""
    assert into.read_bytes() == b"\x00\xff\n"


def test_a_copy_of_the_stack_has_a_name_and_ports_of_its_own() -> None:
    told = [sys.executable, "-c", "import os; print(os.environ['COMPOSE_PROJECT_NAME'], os.environ['RESPAN_PORT'])"]
    engine = Engine(told, ["false"]).copy("other", RESPAN_PORT="8090")
    assert engine.on_compose() == "other 8090"


def test_a_step_that_breaks_ends_the_check(capsys: pytest.CaptureFixture[str], env_file: None) -> None:
    assert check.main(["--compose", "false", "start", "demo"]) == 1
    told = capsys.readouterr().out
    assert "BROKEN: false up --detach --wait --scale worker=1 … ended with 1" in told
    assert "== demo" not in told


def test_a_step_that_there_is_not_is_refused_before_anything_is_done(
    capsys: pytest.CaptureFixture[str], env_file: None
) -> None:
    with pytest.raises(SystemExit):
        check.main(["start", "demmo"])
    assert "no such step: demmo; there are: build, start, demo" in capsys.readouterr().err


def test_without_secrets_the_command_that_draws_them_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "PROJECT", tmp_path)
    with pytest.raises(SystemExit):
        check.main(["start"])
    assert "run: make stack-env" in capsys.readouterr().err


@pytest.mark.parametrize("command", [DUMP, LOAD, PACK, UNPACK])
def test_backups_are_made_and_restored_with_the_commands_of_the_page(command: tuple[str, ...]) -> None:
    assert shlex.join(command) in PAGE


def test_the_page_quotes_every_step_of_the_check() -> None:
    quoted = PAGE.split("## Checked")[1]
    assert [line[3:] for line in quoted.splitlines() if line.startswith("== ")] == list(check.STEPS)
    assert "every promise was kept" in quoted


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PROJECT", tmp_path)
    (tmp_path / ".env").write_text("AIRFLOW_ADMIN_PASSWORD=a-password-of-a-test\n")
