"""A process between a task and an engine: ``python -m respan.images.guard PARENT PROGRAM [ARGUMENT …]``.

An engine starts processes that leave its process group and would go on without it (builds under runc, for one). The
guard inherits them (``PR_SET_CHILD_SUBREAPER``), so it can kill them all: when it is told to (SIGTERM), and when the
process PARENT, which started it, dies in whatever way. It ends with the engine's exit code, or 128 + the signal.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time

import psutil

from ml.warm.lineage import die_with_parent

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_WATCHED = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}


def main(parent: int, argv: list[str]) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_CHILD_SUBREAPER, 1), (_PR_SET_PDEATHSIG, signal.SIGTERM)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        return 128 + signal.SIGTERM
    guard = os.getpid()

    def begin() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        die_with_parent(guard)

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # The engine inherits the file with the registry's login, if this process was given one.
    engine = subprocess.Popen(argv, env=environment, close_fds=False, preexec_fn=begin)
    while True:
        if signal.sigwait(_WATCHED) != signal.SIGCHLD:
            _kill_all()
            return 128 + signal.SIGTERM
        status = _reap().get(engine.pid)
        if status is not None:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _kill_all() -> None:
    while descendants := psutil.Process().children(recursive=True):
        for process in descendants:
            with contextlib.suppress(psutil.Error):
                process.kill()
        _reap()
        time.sleep(0.01)


def _reap() -> dict[int, int]:
    """Wait statuses of the children that have ended, by process id."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            ended[pid] = status
    return ended


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
