"""A registry, an engine, and something to build."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.dags.images.engines_at_hand import DOUBLE, NAMES, EngineAtHand, engine_at_hand, why_not
from tests.dags.images.registry import Registry

LOGIN = ("robot", "a password; with 'marks'")


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry that asks for ``LOGIN``."""
    with Registry(LOGIN).serving() as served:
        yield served


def each_engine(names: Sequence[str]) -> list[object]:
    """Parameters for the fixture ``engine``: the double takes a moment, the others are slow."""
    return [name if name == DOUBLE else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture(params=each_engine(NAMES))
def engine(
    request: pytest.FixtureRequest, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EngineAtHand]:
    """Each engine in turn, as this process would find it: what it needs is in the environment."""
    reason = why_not(request.param)
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path / "engine"
    folder.mkdir()
    with engine_at_hand(request.param, folder, [registry.address, "127.0.0.1:9"]) as found:
        for name in set(os.environ) & {"REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "DOCKER_AUTH_CONFIG"}:
            monkeypatch.delenv(name)
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A folder with a Dockerfile that needs no base image."""
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /app\n")
    (folder / "code.py").write_text("answer = 42\n")
    return folder
