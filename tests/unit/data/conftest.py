"""A pipeline's storage, in a temporary folder and in a bucket, for the tests of samples, batches, windows and releases.

A test of ``storage`` runs on both kinds; one that asks for ``root`` as well, on the folder alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.settings import Settings
from ml.storage import Storage, open_storage
from ml.storage.gcs import GcsStorage
from tests.unit.data.cloud_process import BUCKET, cloud_process
from tests.unit.data.mounting import disk_of_64_kib


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "storage" in metafunc.fixturenames:
        kinds = ["file"] if "root" in metafunc.fixturenames else ["file", "gs"]
        metafunc.parametrize("storage", kinds, indirect=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of one pipeline's storage."""
    return tmp_path / "storage" / "digits"


@pytest.fixture
def storage(request: pytest.FixtureRequest) -> Storage:
    if request.param == "file":
        root: Path = request.getfixturevalue("root")
        return open_storage(f"file://{root.parent}").child(root.name)
    bucket: GcsStorage = request.getfixturevalue("bucket")
    return bucket.child("digits")


@pytest.fixture(scope="session")
def cloud_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with cloud_process(tmp_path_factory.mktemp("cloud")) as environment:
        yield environment


@pytest.fixture
def bucket(cloud_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> GcsStorage:
    """A prefix of its own in a bucket."""
    for name, value in cloud_environment.items():
        monkeypatch.setenv(name, value)
    return GcsStorage(BUCKET, f"{uuid.uuid4()}/respan")


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings.model_validate({"name": "digits", "kind": "image_classification", "data": {"max_refused_share": 1}})


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of_64_kib(tmp_path / "tiny") as folder:
        yield folder
