from __future__ import annotations

from pathlib import Path

import pytest

from tests.dags.ci_cd.git_remote import GitRemote
from tests.dags.ci_cd.watched import WATCHED, settings_of
from tests.dags.pipeline_folders import write_pipeline


@pytest.fixture
def remote(tmp_path: Path) -> GitRemote:
    return GitRemote(tmp_path)


@pytest.fixture
def settings(respan_home: Path, tmp_path: Path, remote: GitRemote, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file of the pipeline `watched`, whose repository is ``remote``."""
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path / "pipelines"))
    return write_pipeline(tmp_path / "pipelines", WATCHED, settings_of(remote)) / "settings.yaml"
