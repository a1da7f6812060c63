"""Arguments that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ml.names import safe_id

F = TypeVar("F", bound=Callable[..., Any])


def batch_argument(function: F) -> F:
    """Adds ``BATCH`` (parameter ``batch_id``): a batch's id, or the run id that it was frozen with."""
    return click.argument("batch_id", metavar="BATCH", callback=lambda _context, _parameter, value: safe_id(value))(
        function
    )
