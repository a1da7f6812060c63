"""These tests need Airflow's environment; elsewhere there is nothing to collect.

They share one deployment: starting Airflow and training a first model take a minute. A test that needs more than
``lived`` gives makes it itself, and leaves an empty inbox and no open batch behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.end_to_end.deployment import Deployment
from tests.end_to_end.life import Lived, live

collect_ignore_glob = [] if find_spec("airflow") else ["*"]


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(tmp_path_factory.mktemp("deployment"))
    with made.running():
        yield made


@pytest.fixture(scope="session")
def lived(deployment: Deployment) -> Lived:
    return live(deployment)
