"""`make clean` removes what Respan made, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.setup.cleaning import clean
from scripts.setup.failure import SetupError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    for name in ("ml/__pycache__", ".mypy_cache", "docs"):
        (project / name).mkdir(parents=True)
    return project


@pytest.fixture
def home(project: Path) -> Path:
    home = project / "var"
    for name in ("storage/p/inbox", "metadata", "envs/tfx/__pycache__", "of-the-user"):
        (home / name).mkdir(parents=True)
    return home


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_state_and_caches_go_and_environments_stay(project: Path, home: Path) -> None:
    clean(project, home)
    assert left(home) == {"envs", "of-the-user"}
    assert (home / "envs" / "tfx" / "__pycache__").is_dir()
    assert left(project) == {"ml", "docs", "var"}
    assert left(project / "ml") == set()


def test_environments_go_when_asked(project: Path, home: Path) -> None:
    clean(project, home, environments=True)
    assert left(home) == {"of-the-user"}


def test_a_link_goes_and_what_it_points_to_stays(project: Path, home: Path, tmp_path: Path) -> None:
    precious = tmp_path / "disk"
    (precious / "samples").mkdir(parents=True)
    (home / "demo").symlink_to(precious)
    clean(project, home)
    assert left(precious) == {"samples"}
    assert "demo" not in left(home)


def test_a_home_that_does_not_exist_is_no_error(project: Path, tmp_path: Path) -> None:
    clean(project, tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("home", ["/", "~", ".", ".."])
def test_a_home_that_holds_more_than_respan_is_refused(project: Path, home: str) -> None:
    with pytest.raises(SetupError, match="nothing was removed"):
        clean(project, (project / Path(home).expanduser()))
    assert (project / ".mypy_cache").is_dir()
