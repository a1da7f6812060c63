"""Running an engine's command lines: their output is the log, they end with the task, and all share one time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ml.home import PROJECT
from respan.images import guard
from respan.images.errors import ImageError, ImageServiceError

_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "LANG", "DBUS_SESSION_BUS_ADDRESS")
_KEPT_OF_NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_KEPT_PREFIXES = ("LC_", "XDG_", "DOCKER_", "BUILDKIT_", "BUILDAH_", "CONTAINER", "STORAGE_", "REGISTRY_", "PODMAN_")
_LINES_KEPT = 200


def engine_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What an engine sees of the caller's environment: what configures it, and nothing of Airflow's."""
    return {
        name: value
        for name, value in environment.items()
        if name in _KEPT or name.upper() in _KEPT_OF_NETWORK or name.startswith(_KEPT_PREFIXES)
    }


@dataclass(frozen=True)
class Ended:
    """How a command ended. ``lines``: the last 200 that it wrote; ``output``: its standard output, where it was asked
    for apart."""

    exit_code: int
    lines: tuple[str, ...]
    output: str = ""


class EngineProcess:
    """Runs commands one after the other, within ``timeout_seconds`` in all; what they write goes to ``log``."""

    def __init__(self, environment: Mapping[str, str], timeout_seconds: float, log: Callable[[str], None]) -> None:
        self.environment = dict(environment)
        self._timeout_seconds = timeout_seconds
        self._ends_at = time.monotonic() + timeout_seconds
        self._log = log
        self._guard: subprocess.Popen[bytes] | None = None
        self._killed = False

    def seconds_left(self) -> float:
        """Raises ``ImageError`` when there are none, and ``ImageServiceError`` after :meth:`kill`."""
        if self._killed:
            raise ImageServiceError("the task was killed, and its engine with it")
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise ImageError(
                f"the image took longer than ci_cd.image.timeout_seconds = {self._timeout_seconds:g}: "
                "make its build shorter, or allow more"
            )
        return left

    def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        inherited: Sequence[int] = (),
        output_apart: bool = False,
        mark: str = "",
    ) -> Ended:
        """Runs ``argv`` to its end.

        :param output_apart: it is only asked something: its output is returned, and nothing but the question logged.
        :param environment: further variables.
        :param inherited: open files that it inherits.
        :param mark: that of the containers which it makes; they are removed if it is killed. See ``leftovers``.

        Raises as :meth:`seconds_left`, after the command and all that it started was killed.
        """
        self._log(" ".join(argv))
        with tempfile.TemporaryFile() as output:
            variables = {**self.environment, **(environment or {})}
            command = [str(os.getpid()), mark, *argv]
            code, lines = self._run(command, variables, inherited, output.fileno() if output_apart else None)
            output.seek(0)
            return Ended(code, lines, output.read().decode("utf-8", "replace"))

    def kill(self) -> None:
        """Kills the running command and all that it started; no other is run any more.

        May be called from a signal handler, and repeatedly.
        """
        self._killed = True
        self._end()

    def _end(self) -> None:
        if self._guard is not None:
            self._guard.send_signal(signal.SIGTERM)

    def _run(
        self, command: Sequence[str], variables: Mapping[str, str], inherited: Sequence[int], stdout: int | None
    ) -> tuple[int, tuple[str, ...]]:
        lines: deque[str] = deque(maxlen=_LINES_KEPT)
        limit = threading.Timer(self.seconds_left(), self._end)
        reading, writing = os.pipe()
        with open(reading, encoding="utf-8", errors="replace") as stream:  # noqa: PTH123 - a file descriptor
            try:
                engine = self._start(command, variables, inherited, writing if stdout is None else stdout, writing)
            finally:
                os.close(writing)
            limit.start()
            try:
                for line in stream:
                    if text := line.rstrip():
                        lines.append(text)
                        if stdout is None:
                            self._log(text)
                code = engine.wait()
            finally:
                limit.cancel()
                self._end()
                engine.wait()
        self.seconds_left()
        return code, tuple(lines)

    def _start(
        self, command: Sequence[str], variables: Mapping[str, str], inherited: Sequence[int], stdout: int, stderr: int
    ) -> subprocess.Popen[bytes]:
        self._guard = subprocess.Popen(
            [sys.executable, "-m", guard.__name__, *command],
            env={**variables, "PYTHONPATH": os.pathsep.join((str(PROJECT), str(PROJECT / "plugins")))},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=inherited,
            start_new_session=True,
        )
        return self._guard
