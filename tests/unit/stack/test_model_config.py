"""Which versions the model server is told to load."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ml import layout
from ml.home import pipeline_storage
from ml.records import Serving, ServingChange, now
from scripts.stack.model_config import ServedModel, config, served_models, write

PIPELINE = "image_classification"


@pytest.fixture(autouse=True)
def storage_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESPAN_STORAGE", f"file://{tmp_path}")
    return tmp_path


def serve(traffic: dict[int, int]) -> None:
    document = Serving(history=[ServingChange(at=now(), traffic=traffic, reason="a test")])
    pipeline_storage(PIPELINE).write(layout.SERVING, document.to_json())


def test_before_the_first_release_no_model_is_named() -> None:
    assert served_models() == []
    assert config([]) == "model_config_list {\n}\n"


def test_the_version_that_serves_is_named_and_not_the_newest_one(storage_root: Path) -> None:
    (storage_root / PIPELINE / "models" / "2").mkdir(parents=True)
    serve({1: 100})
    assert served_models() == [ServedModel(PIPELINE, f"{storage_root}/{PIPELINE}/models", (1,))]


def test_versions_that_share_the_traffic_are_all_loaded() -> None:
    serve({3: 80, 2: 20})
    [model] = served_models()
    assert model.versions == (2, 3)
    assert "versions: 2\n      versions: 3" in config([model])


def test_an_unchanged_config_is_touched_and_a_changed_one_replaced(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    write("one", file)
    os.utime(file, (0, 0))
    before = file.stat().st_ino
    write("one", file)
    assert file.stat().st_ino == before
    assert file.stat().st_mtime > 0
    write("two", file)
    assert file.read_text() == "two"
    assert list(tmp_path.iterdir()) == [file]
