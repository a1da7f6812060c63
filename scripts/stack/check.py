"""``python3 -m scripts.stack.check``: does with a new stack all that docs/stack.md promises, and prints what it saw.

Needs a container engine, an ``.env``, and a stack that has seen no sample yet; ends with the stack running, with three
workers. It removes nothing but what it made: backups are restored into a second stack, beside the first. Exit code: 0
when every promise was kept, 1 when one was broken. Standard library only.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from scripts.airflow_runs import LocalAirflowError
from scripts.stack.check_of_memory import down_and_up, restore, serve
from scripts.stack.check_of_metrics import metrics
from scripts.stack.check_of_work import demo, drain, kill, side_by_side
from scripts.stack.checked_stack import CheckedStack, say
from scripts.stack.engine import BrokenPromiseError, Engine
from scripts.stack.env_file import PROJECT, values


def build(stack: CheckedStack) -> None:
    since = time.monotonic()
    stack.engine.build()
    size = stack.engine.image_bytes(stack.settings.get("RESPAN_IMAGE") or "respan:latest")
    say(f"built in {time.monotonic() - since:.0f} s; the image has {size / 1e9:.2f} GB")


def start(stack: CheckedStack) -> None:
    since = time.monotonic()
    stack.engine.up()
    say(f"every service is healthy after {time.monotonic() - since:.0f} s")


#: In this order; each may rely on those before.
STEPS: Mapping[str, Callable[[CheckedStack], None]] = {
    "build": build,
    "start": start,
    "demo": demo,
    "serve": serve,
    "side-by-side": side_by_side,
    "kill": kill,
    "drain": drain,
    "down-and-up": down_and_up,
    "restore": restore,
    "metrics": metrics,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts.stack.check", description="Checks a new stack, end to end.")
    parser.add_argument("--compose", default="docker compose", help="the command of compose (default: %(default)s)")
    parser.add_argument("--engine", default="docker", help="the command of the engine (default: %(default)s)")
    parser.add_argument("steps", nargs="*", help=f"only these steps (default: all, {', '.join(STEPS)})")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.steps) - set(STEPS):
        parser.error(f"no such step: {', '.join(sorted(unknown))}; there are: {', '.join(STEPS)}")
    settings = PROJECT / ".env"
    if not settings.exists():
        parser.error(f"{settings} is missing; run: make stack-env")
    engine = Engine(shlex.split(chosen.compose), shlex.split(chosen.engine))
    stack = CheckedStack(engine, values(settings.read_text("utf-8")))
    for name in chosen.steps or STEPS:
        say(f"\n== {name}")
        try:
            STEPS[name](stack)
        except (BrokenPromiseError, LocalAirflowError) as broken:
            say(f"BROKEN: {broken}")
            return 1
    say("\nevery promise was kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
