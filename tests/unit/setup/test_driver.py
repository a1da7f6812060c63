"""`make test`: each test file runs in the environment that it belongs to, and a failure anywhere is a failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import test as driver
from scripts.test import STAGES, Suite, closing_line, counts, paths_of, split, total

PROJECT = Path(__file__).resolve().parents[3]
SUITES = [suite for stage in STAGES for suite in stage]
EVERY = {folder for suite in SUITES for folder in suite.folders}


def test_no_test_file_is_left_out() -> None:
    files = [*PROJECT.glob("tests/**/test_*.py"), *PROJECT.glob("ml/**/*_test.py")]
    forgotten = [file for file in files if not any(file.is_relative_to(PROJECT / folder) for folder in EVERY)]
    assert forgotten == []


def test_unit_tests_run_in_both_environments() -> None:
    assert {suite.environment for suite in SUITES if "tests/unit" in suite.folders} == {"airflow", "tfx"}


def test_a_named_path_runs_only_where_it_belongs() -> None:
    chosen = [suite.name for suite in SUITES if paths_of(suite, ["tests/unit/setup/test_locks.py::test_x"])]
    assert chosen == ["airflow", "tfx"]
    assert not any(paths_of(suite, ["docs"]) for suite in SUITES)


def test_a_folder_above_the_suites_runs_all_of_them() -> None:
    for suite in SUITES:
        assert set(paths_of(suite, ["tests"])) == {each for each in paths_of(suite, []) if each.startswith("tests")}


def test_paths_are_told_from_options() -> None:
    assert split(["tests/unit", "-k", "locks and not stale", "-x"]) == (
        ["tests/unit"],
        ["-k", "locks and not stale", "-x"],
    )


@pytest.mark.parametrize(
    "closing", ["752 passed in 426.98s (0:07:06)", "1 failed, 3 passed in 2.10s", "no tests ran in 0.01s"]
)
def test_the_closing_line_is_found_also_before_a_librarys_last_words(closing: str) -> None:
    shown = f"tests/a.py ..\n==== {closing} ====\n=====\nObject was never used\n  body = 3 passed to it\n"
    assert closing_line(shown) == closing


def test_without_a_closing_line_the_last_words_are_told() -> None:
    assert closing_line("tests/a.py ..\nKilled\n") == "Killed"
    assert closing_line("") == ""


def test_closing_lines_are_added_up() -> None:
    closings = ["1 failed, 3 passed, 1 skipped in 2.10s", "4 passed, 2 errors in 1.00s", "no tests ran in 0.01s"]
    assert counts(closings[1]) == {"passed": 4, "error": 2}
    assert total(closings, 61.5).strip("= ") == "1 failed, 2 error, 7 passed, 1 skipped in 61.50s (0:01:02)"


@pytest.fixture
def two_suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two suites, whose environments are both this interpreter's."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "test_it.py").write_text("def test_it(): pass\n")
        (tmp_path / "envs" / name / "bin").mkdir(parents=True)
        python = tmp_path / "envs" / name / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
    monkeypatch.setattr(driver, "PROJECT", tmp_path)
    monkeypatch.setattr(driver, "STAGES", ((Suite("one", "one", ("one",)), Suite("two", "two", ("two",))),))
    monkeypatch.setenv("RESPAN_HOME", str(tmp_path))
    return tmp_path


def test_all_passing_is_success(two_suites: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert driver.main([]) == 0
    assert b"= 2 passed in " in capfdbinary.readouterr().out.splitlines()[-1]


def test_one_failure_is_failure(two_suites: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    (two_suites / "two" / "test_it.py").write_text("def test_it(): assert False\n")
    assert driver.main([]) == 1
    assert b"= 1 failed, 1 passed in " in capfdbinary.readouterr().out.splitlines()[-1]


def test_a_selection_that_only_one_suite_has_is_success(two_suites: Path) -> None:
    (two_suites / "two" / "test_it.py").write_text("def test_other(): pass\n")
    assert driver.main(["-k", "other"]) == 0


def test_a_selection_that_no_suite_has_is_failure(two_suites: Path) -> None:
    assert driver.main(["-k", "nothing_of_that_name"]) == 1


def test_a_process_that_dies_is_failure(two_suites: Path) -> None:
    (two_suites / "one" / "test_it.py").write_text("import os\ndef test_it(): os._exit(0)\n")
    assert driver.main(["one"]) == 1


def test_a_test_may_not_reach_another_machine(tmp_path: Path) -> None:
    import socket

    with socket.socket() as client, pytest.raises(OSError, match="a test may not connect to"):
        client.connect(("192.0.2.1", 80))


def test_a_test_may_reach_its_own_machine() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())


def test_the_real_state_is_out_of_reach(respan_home: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", "from ml.home import home, storage_root; print(home(), storage_root())"],
        cwd=PROJECT,
        text=True,
        capture_output=True,
        check=True,
    )
    assert told.stdout.split() == [str(respan_home), f"file://{respan_home}/storage"]
