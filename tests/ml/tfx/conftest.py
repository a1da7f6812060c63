"""One trained pipeline for the tests of this folder that only look at it, and empty homes for those that change one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.home import METADATA_VARIABLE, pipeline_storage
from ml.logs import quiet
from ml.storage import Storage
from tests.ml.tfx.postgres import postgres

quiet()


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose pipeline has span 1 (400 digits) and one finished run, "first"."""
    from tests.ml.tfx.digits_pipeline import prepare, run_all, write_digits_span

    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESPAN_HOME", str(home))
        patch.delenv("RESPAN_STORAGE", raising=False)
        write_digits_span(1, 0, 400)
        states = run_all(prepare("first", [1]))
        assert set(states.values()) == {"succeeded"}
        yield home


@pytest.fixture
def trained(trained_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESPAN_HOME", str(trained_home))
    monkeypatch.delenv("RESPAN_STORAGE", raising=False)
    return trained_home


@pytest.fixture
def finished(trained_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A copy of the finished run's storage, to release from; TFX's records stay where they are."""
    shutil.copytree(trained_home / "storage", tmp_path / "storage")
    monkeypatch.setenv("RESPAN_HOME", str(trained_home))
    monkeypatch.setenv("RESPAN_STORAGE", f"file://{tmp_path / 'storage'}")
    return pipeline_storage("image_classification")


@pytest.fixture(scope="session")
def metadata_server() -> Iterator[str]:
    """The address of a real server for ML Metadata."""
    with postgres() as address:
        yield address


@pytest.fixture(params=["file", "server"])
def either_metadata(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """ML Metadata in a file, and on a server."""
    if request.param == "server":
        monkeypatch.setenv(METADATA_VARIABLE, request.getfixturevalue("metadata_server"))
