"""The process between a command and the code under test: keeps the limits, and lets nothing live on."""

from __future__ import annotations

import contextlib
import json
import os
import select
import selectors
import signal
import socket
import time
import traceback
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import NoReturn

from ml.ci_cd.folders import remove, used_bytes
from ml.ci_cd.process_tree import adopting_orphans, descendants, end_descendants, memory, reap, unlinked_bytes
from ml.ci_cd_settings import LimitSettings
from ml.warm.fresh import reset_signals, take_files
from ml.warm.lineage import signals_received, wake_on_signals

_LOOK_SECONDS = 0.1
_LOOK_AT_DISK_SECONDS = 0.3
# Looking may take this share of the guard's time, however many processes and files there are.
_SHARE = 0.1
_MIB = 2**20
_NAMED = 5


class Limit(str, Enum):
    """A key of ``ci_cd.limits``."""

    SECONDS = "seconds"
    MEMORY = "memory_mb"
    DISK = "disk_mb"
    PROCESSES = "processes"


@dataclass(frozen=True)
class Ending:
    """How code under test ended: with an exit code (negative: by that signal), or at a limit.

    ``left`` names the processes that it started and that were still alive then; they are not any more.
    """

    code: int | None
    limit: Limit | None
    seconds: float
    left: list[str]

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Ending:
        fields = json.loads(data)
        limit = fields.pop("limit")
        return cls(**fields, limit=limit and Limit(limit))


class Watch:
    """Tells which limit the processes below this one have passed."""

    def __init__(self, limits: LimitSettings, folder: Path, checkout: Path) -> None:
        self._limits, self._folders = limits, (folder, checkout)
        self._begun = time.monotonic()
        self._at_first = used_bytes(*self._folders)
        self._next_disk = 0.0
        self.wait = _LOOK_SECONDS

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def passed(self) -> Limit | None:
        begun = time.monotonic()
        limit = self._passed(begun)
        self.wait = max(_LOOK_SECONDS, (time.monotonic() - begun) / _SHARE)
        return limit

    def _passed(self, now: float) -> Limit | None:
        if self.seconds >= self._limits.seconds:
            return Limit.SECONDS
        processes = descendants(os.getpid())
        if len(processes) > self._limits.processes:
            return Limit.PROCESSES
        most = self._limits.memory_mb * _MIB
        if memory(processes, most) > most:
            return Limit.MEMORY
        if now >= self._next_disk:
            written = used_bytes(*self._folders) - self._at_first + unlinked_bytes(processes)
            self._next_disk = now + max(_LOOK_AT_DISK_SECONDS, (time.monotonic() - now) / _SHARE)
            if written > self._limits.disk_mb * _MIB:
                return Limit.DISK
        return None


def be_guard(
    target: Callable[[int], NoReturn],
    limits: LimitSettings,
    *,
    folder: Path,
    checkout: Path,
    caller_alive: int,
    result: int,
    output: int,
) -> NoReturn:
    """In a forked process: forks another that calls ``target`` with this one's process id, guards it, and ends.

    ``caller_alive`` is a pipe's end that reaches its end of file when the caller dies: then all is ended and ``folder``
    removed. The :class:`Ending` is written to ``result``; both processes' standard output and error go to ``output``.
    """
    try:
        os.setsid()
        reset_signals()
        take_files(output, os.dup(output))
        close_files(keep={caller_alive, result})
        guard = os.getpid()
        with adopting_orphans(), wake_on_signals(signal.SIGCHLD) as children:
            watch = Watch(limits, folder, checkout)
            child = os.fork()
            if not child:
                target(guard)
            try:
                code, limit = _wait(child, watch, caller_alive, children)
            finally:
                left = end_descendants(guard)
                reap()
        if _reached_end(caller_alive):
            remove(folder)
        else:
            names = [] if limit else sorted(process.name for process in left)
            os.write(result, Ending(code, limit, watch.seconds, names[:_NAMED]).to_json())
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _wait(child: int, watch: Watch, caller_alive: int, children: socket.socket) -> tuple[int | None, Limit | None]:
    """Waits for the child's end, a limit, or the caller's death; exit code and limit."""
    with selectors.DefaultSelector() as selector:
        selector.register(children, selectors.EVENT_READ)
        selector.register(caller_alive, selectors.EVENT_READ)
        while True:
            selector.select(watch.wait)
            signals_received(children)
            ended = reap()
            if child in ended:
                return ended[child], None
            if _reached_end(caller_alive):
                return None, None
            if limit := watch.passed():
                return None, limit


def _reached_end(pipe: int) -> bool:
    """Whether a pipe that nobody writes to has been closed at its other end."""
    return bool(select.select([pipe], [], [], 0)[0])


def close_files(keep: Collection[int] = ()) -> None:
    """Closes every open file but the standard ones and ``keep``."""
    for file in [int(link.name) for link in Path("/proc/self/fd").iterdir()]:
        if file > 2 and file not in keep:
            with contextlib.suppress(OSError):
                os.close(file)
