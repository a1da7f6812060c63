"""Runs commands in the warm process. Standard library only: Airflow's environment uses it as well as TFX's."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from ml.errors import RespanError, SettingsError, StorageError
from ml.home import PROJECT
from ml.warm.address import Address
from ml.warm.protocol import Exited, Hello, Refused, Request, Started, peer_user, receive, send

#: Seconds without use after which a warm process ends; 0: no warm process at all.
IDLE_VARIABLE = "RESPAN_WARM_IDLE_SECONDS"
_IDLE_SECONDS = 900.0

#: How long a client waits for a warm process that is still importing TFX (10 s; four times that without bytecode).
_READY_SECONDS = 120.0
_START_SECONDS = 60.0
_STATUS_SECONDS = 5.0
# Twice: an idle warm process may end just when a client connects.
_ATTEMPTS = 2


class WarmUnavailableError(RespanError):
    """There is no warm process to be had. The command was *not* started: run it in a process of its own."""


class WarmLostError(RespanError):
    """The warm process was lost while it ran the command, which was killed with it and may have had effects.

    Every command may be repeated, but not silently: fail, and let the task's retry decide.
    """

    retryable = True


class WarmCommand:
    """A command that runs in the warm process. Closing it, or the death of this process, kills the command and all that
    it started."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def wait(self) -> int:
        """Blocks until the command and all it started are gone; its exit code, negative if a signal killed it.

        Raises ``WarmLostError``.
        """
        try:
            message, _ = receive(self._connection)
        except (OSError, EOFError) as error:
            raise WarmLostError("the warm process died while it ran the command: retry") from error
        if not isinstance(message, Exited):
            raise WarmLostError(f"the warm process answered {message} instead of an exit code: retry")
        return message.code

    def kill(self) -> None:
        """Kills the command; :meth:`wait` then returns, usually -9. A signal handler may call it."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def __enter__(self) -> WarmCommand:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # shutdown, not close alone: a process that was forked from this one may hold the connection open.
        self.kill()
        self._connection.close()


def idle_seconds(environment: Mapping[str, str]) -> float:
    """``RESPAN_WARM_IDLE_SECONDS``; raises ``SettingsError`` where it isn't a number of seconds."""
    text = environment.get(IDLE_VARIABLE) or str(_IDLE_SECONDS)
    try:
        seconds = float(text)
        if not 0 <= seconds < float("inf"):
            raise ValueError(text)
    except ValueError:
        raise SettingsError(f"{IDLE_VARIABLE} is {text!r}: give a number of seconds, 0 for no warm process") from None
    return seconds


def run(
    argv: Sequence[str],
    *,
    python: Path,
    environment: Mapping[str, str],
    stdout: int,
    stderr: int,
    cwd: Path = PROJECT,
) -> int:
    """:func:`start`, then :meth:`WarmCommand.wait`. What a signal handler raises in between kills the command."""
    with start(argv, python=python, environment=environment, stdout=stdout, stderr=stderr, cwd=cwd) as command:
        return command.wait()


def start(
    argv: Sequence[str],
    *,
    python: Path,
    environment: Mapping[str, str],
    stdout: int,
    stderr: int,
    cwd: Path = PROJECT,
) -> WarmCommand:
    """Starts ``python -m ml *argv`` in the warm process, which is started first where there is none.

    ``python`` is TFX's interpreter; ``environment`` is all that the command sees, and says where ``RESPAN_HOME`` is;
    ``stdout`` and ``stderr`` are open files that it writes to (standard input is empty). Raises
    ``WarmUnavailableError`` (surely not started), ``WarmLostError`` (maybe started), or ``SettingsError``.
    """
    request = Request(list(argv), str(cwd), dict(environment), _umask())
    address = Address.of(python, environment)
    for _ in range(_ATTEMPTS):
        with _connect(address, python, environment) as connection:
            try:
                _greeting(connection, _READY_SECONDS)
                send(connection, request, [stdout, stderr])
                reply, _ = receive(connection)
            except TimeoutError as error:
                raise WarmUnavailableError(f"the warm process was not ready in {_READY_SECONDS:.0f} s") from error
            except (OSError, EOFError):
                continue  # it ended, idle, while we connected; or can't import what it needs
            if isinstance(reply, Refused):
                raise WarmUnavailableError(f"the warm process refused the command: {reply.reason}")
            if not isinstance(reply, Started):
                raise WarmLostError(f"the warm process answered {reply} to a command: retry")
            return WarmCommand(connection.dup())
    raise WarmUnavailableError(f"the warm process does not stay up: see {address.log}")


def ensure(python: Path, environment: Mapping[str, str]) -> None:
    """Makes sure that a warm process listens, starting one where none does. Doesn't wait until it has imported TFX.

    Raises ``WarmUnavailableError`` where it is switched off or can't be started.
    """
    _connect(Address.of(python, environment), python, environment).close()


def status(environment: Mapping[str, str]) -> dict[int, Hello | None]:
    """The warm processes of this ``RESPAN_HOME`` by process id; None for one that is still importing."""
    found: dict[int, Hello | None] = {}
    for address in Address.all_in(environment):
        if (pid := address.holder()) is None:
            continue
        found[pid] = None
        with contextlib.suppress(OSError, EOFError):
            connection = address.connect()
            if connection is not None:
                with connection:
                    found[pid] = _greeting(connection, _STATUS_SECONDS)
    return found


def stop(environment: Mapping[str, str]) -> list[int]:
    """Ends the warm processes of this ``RESPAN_HOME``, each after its commands under way; their process ids.

    Returns when none of them takes commands any more.
    """
    stopped = []
    for address in Address.all_in(environment):
        if (pid := address.holder()) is None:
            continue
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            stopped.append(pid)
        deadline = time.monotonic() + _STATUS_SECONDS
        while address.holder() == pid and time.monotonic() < deadline:
            time.sleep(0.02)
    return stopped


def _connect(address: Address, python: Path, environment: Mapping[str, str]) -> socket.socket:
    """A connection to the listening warm process, after starting it if need be; it may not be ready yet."""
    if not idle_seconds(environment):
        raise WarmUnavailableError(f"the warm process is switched off ({IDLE_VARIABLE}=0)")
    try:
        connection = address.connect()
        if connection is None:
            address.prepare()
            with _locked(address.start_lock):
                connection = address.connect()
                if connection is None:
                    _launch(python, environment, address)
                    connection = address.connect()
    except OSError as error:
        raise WarmUnavailableError(f"the warm process can't be started: {error}") from error
    except StorageError as error:
        raise WarmUnavailableError(str(error)) from error
    if connection is None:
        raise WarmUnavailableError(f"the warm process of {python} ended at once: see {address.log}")
    if peer_user(connection) != os.geteuid():
        connection.close()
        raise WarmUnavailableError(f"{address.socket_file} is served by another user")
    return connection


def _greeting(connection: socket.socket, seconds: float) -> Hello:
    connection.settimeout(seconds)
    message, _ = receive(connection)
    connection.settimeout(None)
    if not isinstance(message, Hello):
        raise OSError(f"greeted with {message}")
    return message


def _launch(python: Path, environment: Mapping[str, str], address: Address) -> None:
    # The process started here forks the warm process when its socket listens, and exits: no zombie, nothing to poll.
    command = [str(python.absolute()), "-m", "ml", "warm", "serve", "--detach"]
    try:
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_START_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise WarmUnavailableError(f"the warm process did not start within {_START_SECONDS:.0f} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise WarmUnavailableError(f"the warm process can't be started: {last.removeprefix('error: ')}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _umask() -> int:
    # os.umask() can only be read by changing it, which other threads would notice.
    for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022
