"""``python3 -m scripts.setup [airflow|tfx|lock|clean|distclean]``: makes both environments ready, or one of them as a
container image needs it, without what only tests use; compiles the locks anew; removes caches and state; removes the
environments as well."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from scripts.setup.build import compile_locks, set_up
from scripts.setup.cleaning import clean
from scripts.setup.environments import AIRFLOW_ALONE, environments
from scripts.setup.failure import SetupError
from scripts.setup.steps import say

PROJECT = Path(__file__).resolve().parent.parent.parent
COMMANDS = ("setup", "airflow", "tfx", "lock", "clean", "distclean")


def main(arguments: Sequence[str]) -> int:
    """Exit code 0: done; 1: a problem, told in one line; 2: wrong arguments; 130: interrupted."""
    command = arguments[0] if arguments else "setup"
    if len(arguments) > 1 or command not in COMMANDS:
        say((__doc__ or "").strip())
        return 2
    home = Path(os.environ.get("RESPAN_HOME") or PROJECT / "var").absolute()
    signal.signal(signal.SIGTERM, _stop)
    try:
        if command == "setup":
            set_up(PROJECT, home, os.environ)
        elif command in ("airflow", "tfx"):
            wanted = [each for each in environments(AIRFLOW_ALONE) if each.name == command]
            set_up(PROJECT, home, os.environ, wanted)
        elif command == "lock":
            compile_locks(PROJECT, home, os.environ)
        else:
            clean(PROJECT, home, environments=command == "distclean")
    except (SetupError, OSError) as error:
        say(f"make {command}: {error}")
        return 1
    except KeyboardInterrupt:
        say(f"make {command}: interrupted; call it again to go on")
        return 130
    return 0


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
