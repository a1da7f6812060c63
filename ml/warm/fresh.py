"""What makes a forked process like one that was just started: its files, signals, environment and imports."""

from __future__ import annotations

import atexit
import importlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn


def end_with(target: Callable[[], int]) -> NoReturn:
    """Calls ``target`` and ends this process as an interpreter does at its end, with its result as the exit code."""
    code = 1
    try:
        code = _exit_code_of(target)
        threading._shutdown()  # type: ignore[attr-defined]  # as at a normal end: waits for threads that are no daemons
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            # Not sys.exit: the frames of the forking process below this one must not be unwound.
            os._exit(code & 0xFF)


def _exit_code_of(target: Callable[[], int]) -> int:
    try:
        return target()
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        sys.stderr.write(f"{error.code}\n")
        return 1


def reset_signals() -> None:
    """Signals do what they do in an interpreter that has just started."""
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def take_files(output: int, error: int) -> None:
    """Standard input is empty; standard output and error are these open files, which are closed."""
    null = os.open(os.devnull, os.O_RDONLY)
    # The stream objects stay, since preloaded packages hold on to them; what is below them changes.
    for file, standard in ((null, 0), (output, 1), (error, 2)):
        os.dup2(file, standard)
    for file in {null, output, error} - {0, 1, 2}:
        os.close(file)


def take_environment(environment: Mapping[str, str]) -> None:
    """The process has these variables and no others, and what was derived from the old ones is derived anew."""
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    tempfile.tempdir = None  # found anew from this environment's TMPDIR
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # else every forked process would draw the same "random" numbers


def forget_ml() -> None:
    """Respan's and its users' code is imported anew, from the files as they are now."""
    for name in [name for name in sys.modules if name == "ml" or name.startswith("ml.")]:
        del sys.modules[name]
    importlib.invalidate_caches()


def run_command(argv: Sequence[str]) -> int:
    """``python -m ml *argv`` in this process, with ``ml`` imported anew; its exit code."""
    forget_ml()
    code: int = importlib.import_module("ml.cli").run(list(argv))
    return code
