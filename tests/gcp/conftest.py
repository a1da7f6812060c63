"""What the tests of the cloud's core have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gcp.cloud import LoopbackCloud
from tests.gcp.core_service import Endpoints


@pytest.fixture
def core_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackCloud]:
    """An empty cloud with one small service, to which this process's environment points."""
    with LoopbackCloud(tmp_path / "cloud", services=[Endpoints()]) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        yield cloud
