"""An ssh-agent for the time of one call, so that a private key from a connection touches no disk."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ml.errors import MissingEnvironmentError, SettingsError

_START_SECONDS = 10.0


@contextlib.contextmanager
def agent_with(private_key: str) -> Iterator[Path]:
    """The socket of an ssh-agent that holds ``private_key``, and ends with this block or this process.

    Raises ``SettingsError`` for what is no private key, and ``MissingEnvironmentError`` without OpenSSH's programs.
    """
    environment = {name: os.environ[name] for name in ("PATH", "USER", "LOGNAME") if name in os.environ}
    # Of the kernel's 108 bytes for a socket's path, a long TMPDIR would leave too few.
    place = "/tmp" if len(tempfile.gettempdir()) > 60 else None  # noqa: S108 - the folder is made for this user alone
    with tempfile.TemporaryDirectory(prefix="respan-ssh-", dir=place, ignore_cleanup_errors=True) as folder:
        socket = Path(folder) / "agent"
        with _agent(socket, environment):
            environment["SSH_AUTH_SOCK"] = str(socket)
            _add(private_key, environment)
            try:
                yield socket
            finally:
                subprocess.run(["ssh-add", "-q", "-D"], env=environment, capture_output=True, check=False)


@contextlib.contextmanager
def _agent(socket: Path, environment: dict[str, str]) -> Iterator[None]:
    """An agent ends a few seconds after the command that it was started with: ``cat``, which ends when this process
    closes its end of the pipe or dies, however that happens."""
    try:
        held = subprocess.Popen(
            ["ssh-agent", "-a", str(socket), "cat"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise MissingEnvironmentError(
            "ssh-agent is not installed where Airflow's tasks run: install OpenSSH's client there"
        ) from None
    with held:  # closes the pipe, and waits for cat
        end = time.monotonic() + _START_SECONDS
        while not socket.exists():
            if held.poll() is not None or time.monotonic() > end:
                raise MissingEnvironmentError(f"ssh-agent doesn't start with its socket at {socket}: check TMPDIR")
            time.sleep(0.005)
        yield


def _add(private_key: str, environment: dict[str, str]) -> None:
    key = "\n".join(private_key.strip().splitlines()) + "\n"
    added = subprocess.run(
        ["ssh-add", "-q", "-"],
        env={**environment, "SSH_ASKPASS_REQUIRE": "never"},
        input=key.encode(),
        capture_output=True,
        start_new_session=True,
        check=False,
    )
    if added.returncode:
        raise SettingsError(
            "the connection's private_key is no private key of OpenSSH, or has a passphrase: replace it"
        )
