"""The processes of a deployment: which of them do the work of a task."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from ml.warm import client

#: How long a process may take to notice the death of the one that it depends on.
PATIENCE_SECONDS = 10


def descendants(pid: int) -> list[psutil.Process]:
    """All that the process started; none where it has ended."""
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return found


def warm_processes(environment: Mapping[str, str]) -> list[int]:
    """The warm processes of the deployment with this environment, usually one or none."""
    return list(client.status(environment))


def warm_commands(environment: Mapping[str, str]) -> list[psutil.Process]:
    """The processes of the commands that run in the warm process."""
    return [process for pid in warm_processes(environment) for process in descendants(pid)]


def working_below(folder: Path) -> list[psutil.Process]:
    """The processes whose working folder is below ``folder``, or whose environment names something there.

    That of code under test was erased, which its own children are not.
    """
    found, below = [], f"{folder}/"
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd().startswith(below) or any(below in value for value in process.environ().values()):
                found.append(process)
    return found


def survivors(processes: Iterable[psutil.Process]) -> list[str]:
    """Those that still run after a while, told by id and command line."""
    _, alive = psutil.wait_procs(list(processes), timeout=PATIENCE_SECONDS)
    return [told(process) for process in alive if process.is_running()]


def told(process: psutil.Process) -> str:
    try:
        return f"{process.pid} ({process.status()}): {' '.join(process.cmdline())}"
    except psutil.NoSuchProcess:
        return f"{process.pid}, ended"
