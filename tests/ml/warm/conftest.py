from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.warm.warm_project import Project, project_in


@pytest.fixture(scope="module")
def tfx_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose warm process has imported all that it should."""
    with project_in(tmp_path_factory.mktemp("tfx"), preload=True) as project:
        yield project
