"""A real PostgreSQL server on loopback, with the roles and databases that the stack's first start makes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from ml.home import PROJECT

PASSWORDS = {"AIRFLOW_DATABASE_PASSWORD": "airflow-secret", "METADATA_PASSWORD": "metadata-secret"}
_ADMINISTRATOR = "administrators-secret"
#: The server refuses to be root's.
_NOBODY = 65534


def program(name: str) -> str:
    """Its path; skips the test where there is no PostgreSQL on this machine."""
    folders = [str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"needs PostgreSQL: {name} is not there")
    return found


@contextmanager
def postgres() -> Iterator[str]:
    """The address of ML Metadata's role on a new server, for ``RESPAN_METADATA``. Its files are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="respan-postgres-") as folder, _server(Path(folder)) as address:
        yield address


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    initdb, server, psql = program("initdb"), program("postgres"), program("psql")
    owner = _NOBODY if os.geteuid() == 0 else None
    folder.chmod(0o755)
    data, passwords = folder / "data", folder / "password"
    passwords.write_text(_ADMINISTRATOR)
    data.mkdir(mode=0o700)
    if owner is not None:
        shutil.chown(data, owner, owner)
    _run([initdb, "-D", str(data), "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={passwords}"], owner=owner)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", f"port={port}", "fsync=off")
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [server, "-D", str(data), *(word for setting in settings for word in ("-c", setting))],
            cwd="/",
            stdout=log,
            stderr=log,
            user=owner,
            group=owner,
        )
    try:
        _wait(f"postgresql://postgres:{_ADMINISTRATOR}@127.0.0.1:{port}/postgres", running)
        told = {**os.environ, **PASSWORDS, "PGPASSWORD": _ADMINISTRATOR}
        script = PROJECT / "deploy" / "postgres" / "databases.sql"
        connection = ("-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-d", "postgres")
        _run([psql, *connection, "-v", "ON_ERROR_STOP=1", "-f", str(script)], variables=told)
        yield f"postgresql://respan:{PASSWORDS['METADATA_PASSWORD']}@127.0.0.1:{port}/respan"
    finally:
        running.send_signal(signal.SIGINT)  # at once, without waiting for connections
        running.wait(30)


def _wait(address: str, running: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert running.poll() is None, "the server has ended"
        with suppress(psycopg.OperationalError):
            psycopg.connect(address, connect_timeout=1).close()
            return
        time.sleep(0.1)
    raise AssertionError("the server doesn't answer")


def _run(command: list[str], *, variables: Mapping[str, str] | None = None, owner: int | None = None) -> None:
    subprocess.run(command, env=variables, cwd="/", check=True, capture_output=True, user=owner, group=owner)
