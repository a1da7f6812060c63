from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.warm.warm_project import Project, copy_project, runs, wait_until


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    yield from _project(tmp_path)


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One warm process for tests that neither edit nor kill anything."""
    yield from _project(tmp_path_factory.mktemp("shared"))


def _project(folder: Path) -> Iterator[Project]:
    copy_project(folder / "project")
    project = Project(folder / "project", folder / "home")
    yield project
    for process in project.clients:
        if process.poll() is None:
            process.kill()
        process.communicate()
    for pid in project.servers():
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: not runs(pid), "the warm process's end")  # type: ignore[misc]
