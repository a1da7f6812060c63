"""The commands of the Makefile."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]

COMMANDS = {
    "airflow", "bench", "clean", "compile", "demo", "demo-cicd", "distclean", "docs", "help", "lint", "lock", "setup",
    "stack-env", "test", "test-fast",
}  # fmt: skip

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def make(*arguments: str, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=cwd, text=True, capture_output=True, check=False, timeout=60)


def test_make_alone_lists_every_command_in_one_line() -> None:
    listed = make()
    assert listed.returncode == 0
    found = dict(re.findall(r"^  make ([a-z-]+) +(\S.*)$", listed.stdout, re.MULTILINE))
    assert set(found) == COMMANDS
    assert listed.stdout.count("\n") == len(COMMANDS)


def test_every_target_is_a_command() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert targets == COMMANDS


@pytest.mark.parametrize("command", sorted(COMMANDS - {"help"}))
def test_no_command_needs_more_than_make_to_be_understood(command: str) -> None:
    assert make("--dry-run", command).returncode == 0


def test_ci_runs_the_checks_and_the_tests() -> None:
    lines = (PROJECT / ".ci" / "run").read_text("utf-8").splitlines()
    assert {"make lint", "make test"} <= set(lines)
    assert "set -euo pipefail" in lines
