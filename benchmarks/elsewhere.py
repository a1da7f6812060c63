"""Other processes for a benchmark: a cloud must not share its interpreter's lock with those who are measured."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

#: The cloud's project, region and bucket.
PROJECT_ID, REGION, BUCKET = "respan-test", "europe-west4", "respan-benchmarks"

Surroundings = Callable[..., AbstractContextManager[Any]]


class Elsewhere:
    """Another process, and something in it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What ``function(<the thing there>, *arguments)`` returns there. ``function`` is one of a module.

        Raises ``EOFError`` where it raised: the process has ended then, and told why on standard error.
        """
        self._pipe.send((function, arguments))
        return self._pipe.recv()


@contextmanager
def elsewhere(surroundings: Surroundings, *arguments: Any) -> Iterator[Elsewhere]:
    """A new process that does what it is called for within ``surroundings(*arguments)``, and ends with the block; also
    where the process that called it is killed."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, surroundings, arguments))
    process.start()
    theirs.close()
    try:
        yield Elsewhere(ours)
    finally:
        ours.close()
        process.join()


def _serve(pipe: Connection, surroundings: Surroundings, arguments: tuple[Any, ...]) -> None:
    with surroundings(*arguments) as thing:
        while True:
            try:
                function, given = pipe.recv()
            except EOFError:
                return
            pipe.send(function(thing, *given))


@contextmanager
def cloud(folder: Path, latency: float = 0.0, services: Callable[[], list[Any]] = list) -> Iterator[Any]:
    """Surroundings: a ``LoopbackCloud`` with what ``services()`` gives. ``latency``: seconds of each request."""
    from tests.gcp.cloud import LoopbackCloud

    with LoopbackCloud(
        folder, project=PROJECT_ID, region=REGION, buckets=[BUCKET], services=services(), latency=latency
    ) as running:
        yield running


def environment(running: Any) -> dict[str, str]:
    """To be called at the cloud: what its clients have in their environment."""
    return dict(running.environment)


@contextmanager
def client(given: Mapping[str, str]) -> Iterator[None]:
    """Surroundings: those of a client of the cloud, with an Airflow of its own that logs errors only."""
    with tempfile.TemporaryDirectory(prefix="respan-bench-") as folder:
        own = {
            "AIRFLOW_HOME": folder,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        }
        os.environ.update({**given, **own})
        yield
