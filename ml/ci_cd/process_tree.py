"""The processes below another one: who they are, what they use, and how all of them are ended. Linux."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37
_PAGE = os.sysconf("SC_PAGE_SIZE")
# How long a process may take to die: one that waits for a broken disk can't be ended at all.
_DEATH_SECONDS = 10.0
_libc = ctypes.CDLL(None, use_errno=True)


class Process(NamedTuple):
    """A living process; ``name`` is its program's, ``resident`` its memory in bytes, with what it shares."""

    pid: int
    name: str
    parent: int
    resident: int


@contextlib.contextmanager
def adopting_orphans() -> Iterator[None]:
    """Meanwhile a process below this one whose parent ends becomes this one's child, whatever session it is in.

    Linux: prctl(2), PR_SET_CHILD_SUBREAPER; forked processes don't inherit it.
    """
    before = ctypes.c_int()
    _prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before))
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        _prctl(_PR_SET_CHILD_SUBREAPER, before.value)


def _prctl(option: int, value: object) -> None:
    if _libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def descendants(root: int, spared: Collection[int] = ()) -> list[Process]:
    """The living processes below ``root``, parents first; not those in ``spared``, nor what is below them."""
    children: dict[int, list[Process]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (process := _read(int(entry.name))):
            children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    generation = [root]
    while generation:
        next_ones = [child for parent in generation for child in children.get(parent, ()) if child.pid not in spared]
        found += next_ones
        generation = [child.pid for child in next_ones]
    return found


def _read(pid: int) -> Process | None:
    try:
        begin, _, end = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")
    except OSError:
        return None
    fields = end.split()
    dead = fields[0] in (b"Z", b"X") and int(fields[17]) <= 1  # the first thread may end before the others
    if dead:
        return None
    name = begin.partition(b"(")[2].decode(errors="replace")
    return Process(pid, name, int(fields[1]), int(fields[21]) * _PAGE)


def memory(processes: Iterable[Process], limit: int) -> int:
    """What the processes use together, in bytes: exact above ``limit``, at most too much below it.

    Pages that forked processes share count once (their proportional set size). Reading that takes a while, so it is
    left out while even the sum with shared pages is below the limit.
    """
    processes = list(processes)
    total = sum(process.resident for process in processes)
    return total if total <= limit else sum(map(_proportional, processes))


def _proportional(process: Process) -> int:
    try:
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    except OSError as error:
        return 0 if isinstance(error, (FileNotFoundError, ProcessLookupError)) else process.resident
    return 0


def unlinked_bytes(processes: Iterable[Process]) -> int:
    """The space of files without a name that the processes have open."""
    files: dict[tuple[int, int], int] = {}
    for process in processes:
        with contextlib.suppress(OSError):
            for link in os.scandir(f"/proc/{process.pid}/fd"):
                with contextlib.suppress(OSError):
                    found = link.stat()
                    if stat.S_ISREG(found.st_mode) and not found.st_nlink:
                        files[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(files.values())


def end_descendants(root: int, spared: Collection[int] = ()) -> list[Process]:
    """Kills every process below ``root`` but those in ``spared``, until none is left; who was alive at the start.

    They are all stopped first: else they could start others faster than they are killed. ``root`` must adopt orphans.
    """
    first = living = descendants(root, spared)
    deadline = time.monotonic() + _DEATH_SECONDS
    while living and time.monotonic() < deadline:
        stopped: set[int] = set()
        while new := [process.pid for process in living if process.pid not in stopped]:
            _signal(new, signal.SIGSTOP)
            stopped.update(new)
            living = descendants(root, spared)
        _signal(stopped, signal.SIGKILL)
        time.sleep(0.002)
        living = descendants(root, spared)
    return first


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def reap() -> dict[int, int]:
    """Takes leave of this process's dead children: process id → exit code, negative for a signal."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = os.waitstatus_to_exitcode(found[1])
    return ended
