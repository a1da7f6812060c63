"""How often the product's decisions are wrong: seeded simulations that call the code which decides.

Each module of this package studies one decision. Its ``study()`` yields results as every benchmark does; a table for
docs/decisions-and-errors.md is in their ``detail`` (see ``table``). To add a decision, add a module and name it in
``STUDIES``, then put its tables' markers into the page.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from benchmarks.result import Result

STUDIES = ("gate", "gate_of_masks", "verdict", "mean_iou", "insufficient", "drift", "statistics_drift", "intervals")


def measure() -> Iterator[Result]:
    """What all studies found, in minutes."""
    for study in STUDIES:
        yield from importlib.import_module(f"benchmarks.decisions.{study}").study()
