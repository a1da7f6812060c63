"""Comes between a process and what it does to storage: kills it before a step, or lets somebody else be faster."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Collection
from pathlib import Path

#: Python tells its audit hooks of each of these right before it asks the operating system.
OPERATIONS = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.scandir", "shutil.rmtree"}


_VERBS = (b"GET ", b"POST ", b"PUT ", b"DELETE ")


def killed_at(
    work: Callable[[], object], operation: int, below: Path, operations: Collection[str] = OPERATIONS
) -> bool:
    """Runs ``work`` in a child that is killed (SIGKILL) before its ``operation``-th file system operation (of those
    among ``operations``) below ``below``. False where the work had fewer and finished; 0 never kills. An error in the
    work fails the test."""
    prefix = os.fspath(below)

    def counts(event: str, arguments: tuple[object, ...]) -> bool:
        return event in operations and any(_names(argument).startswith(prefix) for argument in arguments)

    return _killed_before(work, operation, counts)


def killed_at_request(work: Callable[[], object], number: int) -> bool:
    """Runs ``work`` in a child that is killed before it sends its ``number``-th HTTP request, as :func:`killed_at` does
    before a file system operation."""

    def counts(event: str, arguments: tuple[object, ...]) -> bool:
        return event == "http.client.send" and isinstance(arguments[1], bytes) and arguments[1].startswith(_VERBS)

    return _killed_before(work, number, counts)


def _killed_before(work: Callable[[], object], number: int, counts: Callable[[str, tuple[object, ...]], bool]) -> bool:
    left = number

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if counts(event, arguments):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    status = _in_child(work, hook)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the work failed without being killed"
    return False


def overtaken(work: Callable[[], object], event: str, path: Path, by: Callable[[], object]) -> None:
    """Runs ``work`` in a child where ``by`` happens right before its first operation ``event`` on ``path``."""
    happened = False

    def hook(found: str, arguments: tuple[object, ...]) -> None:
        nonlocal happened
        if not happened and found == event and _names(arguments[0]) == os.fspath(path):
            happened = True
            by()

    def checked() -> None:
        work()
        assert happened, f"the work never came to {event} {path}"

    assert _in_child(checked, hook) == 0


def _in_child(work: Callable[[], object], hook: Callable[[str, tuple[object, ...]], None]) -> int:
    """The child's wait status. A child, since an audit hook can't be taken away again."""
    child = os.fork()
    if child == 0:
        os._exit(_run(work, hook))
    return os.waitpid(child, 0)[1]


def _run(work: Callable[[], object], hook: Callable[[str, tuple[object, ...]], None]) -> int:
    sys.addaudithook(hook)
    try:
        work()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _names(argument: object) -> str:
    return os.fsdecode(argument) if isinstance(argument, (str, bytes, os.PathLike)) else ""
