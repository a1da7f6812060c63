from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.warm.warm_project import Project, project_in


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with project_in(tmp_path, preload=False) as project:
        yield project


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One warm process for tests that neither edit nor kill anything."""
    with project_in(tmp_path_factory.mktemp("shared"), preload=False) as project:
        yield project
