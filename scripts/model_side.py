"""The commands of the model's side, for programs that run in Airflow's environment."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ml.errors import RespanError
from ml.home import PROJECT
from ml.warm import client
from ml.warm.environment import command_environment


class CommandFailedError(RespanError):
    """A command ended with an error; the message is the command's own."""


class ModelSide:
    """Runs ``python -m ml`` with TFX's interpreter: in the warm process, or else in a process of its own.

    :param python: TFX's interpreter.
    :param environment: the caller's, with ``RESPAN_HOME`` and ``RESPAN_STORAGE``; a command sees of it what it may.
    """

    def __init__(self, python: Path, environment: Mapping[str, str]) -> None:
        self._python, self._environment = python, command_environment(environment)

    def warm_up(self) -> None:
        """Starts the warm process, so that it is ready when the first command comes."""
        try:
            client.ensure(self._python, self._environment)
        except client.WarmUnavailableError:
            return  # each command is then a process of its own

    def cool_down(self) -> None:
        """Ends the warm process."""
        client.stop(self._environment)

    def json(self, *argv: str, accepted: Collection[int] = (0,)) -> dict[str, Any]:
        """The JSON document of ``python -m ml *argv --json``.

        Raises ``CommandFailedError`` for an exit code that isn't one of ``accepted``.
        """
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as messages:
            code = self._run([*argv, "--json"], output.fileno(), messages.fileno())
            output.seek(0)
            messages.seek(0)
            if code not in accepted:
                last = (messages.read().decode("utf-8", "replace").strip().splitlines() or ["no message"])[-1]
                raise CommandFailedError(f"python -m ml {' '.join(argv)}: {last}")
            document: dict[str, Any] = json.loads(output.read())
            return document

    def start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts another program of this project, ``python -m module``, in TFX's environment."""
        return subprocess.Popen(
            [str(self._python), "-m", module, *arguments],
            cwd=PROJECT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _run(self, argv: list[str], stdout: int, stderr: int) -> int:
        try:
            return client.run(argv, python=self._python, environment=self._environment, stdout=stdout, stderr=stderr)
        except client.WarmUnavailableError:
            return subprocess.run(
                [str(self._python), "-m", "ml", *argv],
                cwd=PROJECT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                check=False,
            ).returncode


def tfx_python(home: Path) -> Path:
    """TFX's interpreter: ``RESPAN_TFX_PYTHON``, else the one that ``make setup`` installs below ``home``."""
    return Path(os.environ.get("RESPAN_TFX_PYTHON") or home / "envs" / "tfx" / "bin" / "python").absolute()
