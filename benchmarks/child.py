"""``python -m benchmarks.child MODULE``: one benchmark in this process; its results as one line of JSON at the end."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from dataclasses import asdict


def main(module: str) -> None:
    """Calls ``benchmarks.<module>.measure()``. What the benchmark prints goes to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        found = [asdict(result) for result in importlib.import_module(f"benchmarks.{module}").measure()]
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
