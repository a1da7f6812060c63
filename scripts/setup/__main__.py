"""``python3 -m scripts.setup [lock]``: makes both environments ready, or compiles the locks anew."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from scripts.setup.build import compile_locks, set_up
from scripts.setup.failure import SetupError
from scripts.setup.steps import say

PROJECT = Path(__file__).resolve().parent.parent.parent


def main(arguments: Sequence[str]) -> int:
    """Exit code 0: ready; 1: a problem, told in one line; 2: wrong arguments; 130: interrupted."""
    if list(arguments) not in ([], ["lock"]):
        say((__doc__ or "").strip())
        return 2
    home = Path(os.environ.get("RESPAN_HOME") or PROJECT / "var").absolute()
    signal.signal(signal.SIGTERM, _stop)
    try:
        (compile_locks if arguments else set_up)(PROJECT, home, os.environ)
    except SetupError as error:
        say(f"make {arguments[0] if arguments else 'setup'}: {error}")
        return 1
    except OSError as error:
        say(f"make setup: {error}")
        return 1
    except KeyboardInterrupt:
        say("make setup: interrupted; call it again to go on")
        return 130
    return 0


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
