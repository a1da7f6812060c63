"""A pipeline's storage in a temporary folder, for the tests of samples, batches, spans' windows and releases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.settings import Settings
from ml.storage.local import LocalStorage
from tests.unit.data.mounting import disk_of_64_kib


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of one pipeline's storage."""
    return tmp_path / "storage" / "digits"


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return LocalStorage(root.parent).child(root.name)


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings.model_validate({"name": "digits", "kind": "image_classification", "data": {"max_refused_share": 1}})


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of_64_kib(tmp_path / "tiny") as folder:
        yield folder
