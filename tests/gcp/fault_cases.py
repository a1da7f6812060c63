"""The faults that a call is tried with, most often: those that pass, and those that last, with their remedy."""

from __future__ import annotations

from typing import Any

from tests.gcp.faults import Fault

PASSING = [Fault.UNAVAILABLE, Fault.RATE_LIMIT, Fault.QUOTA, Fault.DEADLINE, Fault.DROPPED, Fault.SLOW(0.1)]
LASTING = [(Fault.PERMISSION_DENIED, "grant the connection's account"), (Fault.INVALID_ARGUMENT, "mend what it names")]


def name_of(fault: Any) -> str:
    """For a parameter's id."""
    return fault.kind.value if isinstance(fault, Fault) else ""
