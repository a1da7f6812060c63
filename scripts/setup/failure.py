"""The one error of the set-up."""

from __future__ import annotations


class SetupError(Exception):
    """Set-up can't go on. Its message is one line: what, where, and what to do."""
