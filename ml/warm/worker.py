"""The forked child that becomes a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import NoReturn

from ml.home import PROJECT
from ml.warm.fresh import end_with, reset_signals, run_command, take_environment, take_files
from ml.warm.lineage import die_with_parent
from ml.warm.protocol import Request


def become(request: Request, output: tuple[int, int], preloaded: Mapping[str, str], parent: int) -> NoReturn:
    """Runs the command in this process, just forked, as a fresh interpreter would, and ends it.

    ``output`` are the open files for standard output and error; ``preloaded`` the environment variables that imported
    packages have set in the warm process; ``parent`` the process with which this one ends.
    """
    os.setsid()
    die_with_parent(parent)

    def command() -> int:
        reset_signals()
        take_files(*output)
        os.umask(request.umask)
        take_environment({**preloaded, **request.environment})
        sys.argv = [str(PROJECT / "ml" / "__main__.py"), *request.argv]
        return run_command(request.argv)

    end_with(command)
