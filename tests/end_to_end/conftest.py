"""These tests need Airflow's environment; elsewhere there is nothing to collect.

They share one deployment: starting Airflow and training a first model take a minute. A test that needs more than
``lived`` gives makes it itself, and leaves an empty inbox and no open batch behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.dags.images.engines_at_hand import DOUBLE, engine_at_hand, why_not
from tests.dags.images.registry import Registry
from tests.end_to_end.deployment import LOGIN, Deployment
from tests.end_to_end.life import Lived, live
from tests.end_to_end.shipping import Shipped, ship

collect_ignore_glob = [] if find_spec("airflow") else ["*"]


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Images are built by podman where it works, and pushed to a registry."""
    folder = tmp_path_factory.mktemp("deployment")
    engines, registry = folder / "engine", Registry(LOGIN)
    engines.mkdir()
    name = "podman" if why_not("podman") is None else DOUBLE
    with registry.serving(), engine_at_hand(name, engines, [registry.address]) as engine:
        made = Deployment(folder, engine, registry)
        with made.running():
            yield made


@pytest.fixture(scope="session")
def lived(deployment: Deployment) -> Lived:
    return live(deployment)


@pytest.fixture(scope="session")
def shipped(lived: Lived) -> Shipped:
    return ship(lived.deployment)
