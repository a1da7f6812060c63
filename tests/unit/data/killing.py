"""Kills a process for real at each of its file system operations, one after the other."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

#: Python tells its audit hooks of each of these right before it asks the operating system.
OPERATIONS = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.scandir", "shutil.rmtree"}


def killed_at(work: Callable[[], object], operation: int, below: Path) -> bool:
    """Runs ``work`` in a child that is killed (SIGKILL) before its ``operation``-th file system operation below
    ``below``. False where the work had fewer operations and finished; an error in it fails the test."""
    child = os.fork()
    if child == 0:
        os._exit(_run(work, operation, below))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the work failed without being killed"
    return False


def _run(work: Callable[[], object], operation: int, below: Path) -> int:
    left = operation
    prefix = os.fspath(below)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in OPERATIONS and any(_names(argument).startswith(prefix) for argument in arguments):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    try:
        work()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _names(argument: object) -> str:
    return os.fsdecode(argument) if isinstance(argument, (str, bytes, os.PathLike)) else ""
