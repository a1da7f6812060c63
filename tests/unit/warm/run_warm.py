"""The client process of the tests: runs its arguments in the warm process and exits with the command's exit code.

A signal's exit code is told as 128 + its number; 70: unavailable, 71: lost, 72: ended by this process's own SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

from ml.errors import RespanError
from ml.warm import client


class TerminatedError(Exception):
    pass


def raise_terminated(_number: int, _frame: FrameType | None) -> None:
    raise TerminatedError


def main() -> int:
    signal.signal(signal.SIGTERM, raise_terminated)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    cwd = Path(environment.pop("PROBE_CWD", str(Path.cwd())))
    python = Path(sys.executable)
    try:
        code = client.run(sys.argv[1:], python=python, environment=environment, stdout=1, stderr=2, cwd=cwd)
    except TerminatedError:
        return 72
    except RespanError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return {client.WarmUnavailableError: 70, client.WarmLostError: 71}.get(type(error), error.exit_code)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
