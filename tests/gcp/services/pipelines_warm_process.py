"""An interpreter that has TFX loaded and forks a child for each ``python -m …`` it is asked for. For TFX's environment.

Requests are lines of JSON on standard input, ``{"start": n, "arguments": ["-m", module, …], "folder", "environment",
"log"}`` and ``{"kill": n}``; answers on standard output are ``{"ended": n, "code"}``. A child leads a process group,
which ends with it. When standard input ends, all of it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import select
import signal
import sys
import traceback
from typing import Any, NoReturn

from ml.warm.preload import preload

_LINE = b"\n"


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    preload(lambda line: print(line, file=sys.stderr))
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    children: dict[int, int] = {}
    pending = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _reap(children, answers)
        if 0 in ready:
            data = os.read(0, 1 << 20)
            if not data:
                break
            *lines, pending = (pending + data).split(_LINE)
            for line in lines:
                _handle(json.loads(line), children)
    for pid in children:
        _kill(pid)


def _handle(request: dict[str, Any], children: dict[int, int]) -> None:
    if "kill" in request:
        for pid, number in children.items():
            if number == request["kill"]:
                _kill(pid)
        return
    pid = os.fork()
    if not pid:
        _child(request)
    with contextlib.suppress(PermissionError):
        os.setpgid(pid, pid)  # whoever is first, the child or this
    children[pid] = request["start"]


def _reap(children: dict[int, int], answers: Any) -> None:
    for pid, number in list(children.items()):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            continue
        _kill(pid)  # what it has left behind; the number is its own until it is reaped
        del children[pid]
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        answers.write(json.dumps({"ended": number, "code": code}) + "\n")


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _child(request: dict[str, Any]) -> NoReturn:
    """What ``python -m`` does, from here on."""
    code = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.closerange(3, 4096)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.path[0] = request["folder"]
        _, module, *arguments = request["arguments"]
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
