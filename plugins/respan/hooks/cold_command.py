"""A command of the model's side in a process of its own, for when there is no warm process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

from ml.home import PROJECT
from ml.warm.lineage import die_with_parent


class ColdCommand:
    """``python -m ml *argv``, with the interface of :class:`ml.warm.client.WarmCommand`.

    It leads a process group of its own, so that :meth:`kill` reaches all that it started, and it dies with this
    process, also when this one is killed with ``kill -9``.
    """

    def __init__(
        self, argv: Sequence[str], *, python: Path, environment: Mapping[str, str], stdout: int, stderr: int
    ) -> None:
        self._process = subprocess.Popen(
            [str(python), "-m", "ml", *argv],
            env=dict(environment),
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid()),
        )

    def wait(self) -> int:
        """Blocks until the command has ended; its exit code, negative if a signal killed it."""
        return self._process.wait()

    def kill(self) -> None:
        """Kills the command and its process group; may be called from a signal handler, and repeatedly."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def __enter__(self) -> ColdCommand:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        self._process.wait()
