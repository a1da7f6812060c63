"""The forked child that becomes a command."""

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
from collections.abc import Mapping
from typing import NoReturn

from ml.home import PROJECT
from ml.warm.lineage import die_with_parent
from ml.warm.protocol import Request


def become(request: Request, output: tuple[int, int], preloaded: Mapping[str, str], parent: int) -> NoReturn:
    """Runs the command in this process, just forked, as a fresh interpreter would, and ends it.

    ``output`` are the open files for standard output and error; ``preloaded`` the environment variables that imported
    packages have set in the warm process; ``parent`` the process with which this one ends.
    """
    os.setsid()
    die_with_parent(parent)
    code = 1
    try:
        _take_surroundings(request, output, preloaded)
        code = _run(request.argv)
        threading._shutdown()  # type: ignore[attr-defined]  # as at a normal end: waits for threads that are no daemons
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            # Not sys.exit: the frames of the warm process below this one must not be unwound.
            os._exit(code & 0xFF)


def _take_surroundings(request: Request, output: tuple[int, int], preloaded: Mapping[str, str]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    null = os.open(os.devnull, os.O_RDONLY)
    # The stream objects stay, since preloaded packages hold on to them; what is below them changes.
    for file, standard in ((null, 0), (output[0], 1), (output[1], 2)):
        os.dup2(file, standard)
        os.close(file)
    os.umask(request.umask)
    os.environ.clear()
    os.environ.update({**preloaded, **request.environment})
    time.tzset()
    tempfile.tempdir = None  # found anew from this command's TMPDIR
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # else every command would draw the same "random" numbers
    sys.argv = [str(PROJECT / "ml" / "__main__.py"), *request.argv]


def _run(argv: list[str]) -> int:
    # Respan's and its users' code is imported from the files as they are now.
    for name in [name for name in sys.modules if name == "ml" or name.startswith("ml.")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    try:
        code: int = importlib.import_module("ml.cli").run(argv)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        sys.stderr.write(f"{error.code}\n")
        return 1
    return code
