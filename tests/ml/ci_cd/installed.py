"""An installed project with a warm process, and checkouts of other revisions beside it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ml.home import PROJECT
from tests.unit.warm.warm_project import Project

PIPELINE = "image_classification"

#: Revisions by name.
FIRST, SECOND, THIRD = ("a" * 40, "b" * 40, "c" * 40)


def new_checkout(folder: Path) -> Path:
    """A checkout with the whole project in it, as a git hook would have made it."""
    shutil.copytree(PROJECT / "ml", folder / "ml", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")


def step(project: Project, name: str, checkout: Path, revision: str, *more: str) -> subprocess.CompletedProcess[str]:
    """A step of ``ci-cd`` in the warm process."""
    where = ("--checkout", str(checkout), "--revision", revision)
    return warm(project, "ci-cd", name, PIPELINE, *where, *more, "--json")


def warm(project: Project, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in the warm process, however long it takes: what hangs is ended by the test's own limit."""
    process = project.start(*argv, **environment)
    out, errors = process.communicate()
    return subprocess.CompletedProcess(argv, process.returncode, out, errors)


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON document that is all of standard output."""
    assert done.returncode == 0, done.stderr[-3000:]
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def error(done: subprocess.CompletedProcess[str]) -> str:
    """The last line on standard error, which has to be an error's; nothing is on standard output."""
    assert not done.stdout
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: "), done.stderr[-3000:]
    return last.removeprefix("error: ")
