"""The warm process's log file."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

_LONGEST = 1_000_000
_KEPT = 3


class Log:
    """Appends lines to a file, or to standard error where there is none.

    The file takes the place of standard output and error as well, for what the imported packages print. At a million
    bytes it becomes ``<name>.1`` and is begun anew; three old ones are kept. Warm processes of one home share a file.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open(path)

    def __call__(self, message: str) -> None:
        if self._path is not None:
            self._rotate(self._path)
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        with contextlib.suppress(OSError):  # a full disk must not end the warm process
            sys.stderr.write(f"{stamp} [{os.getpid()}] {message}\n")
            sys.stderr.flush()

    def _rotate(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            here = os.fstat(sys.stderr.fileno())
            if path.exists() and os.path.samestat(path.stat(), here):
                if here.st_size < _LONGEST:
                    return
                for number in range(_KEPT, 0, -1):
                    older = path.with_name(f"{path.name}.{number}")
                    newer = path.with_name(f"{path.name}.{number - 1}") if number > 1 else path
                    if newer.exists():
                        newer.replace(older)
            self._open(path)

    @staticmethod
    def _open(path: Path) -> None:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.close(file)
