"""How commands show results and progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """Adds ``--json`` (parameter ``as_json``) to a command."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")(function)


def show(document: Mapping[str, Any], *, as_json: bool, text: str) -> None:
    """A command's result: ``document`` as one line of JSON, or ``text`` for people."""
    click.echo(json.dumps(document, default=str, sort_keys=True) if as_json else text)


def note(message: str) -> None:
    """A message about the work under way, on standard error."""
    click.echo(message, err=True)


class Progress:
    """Counts long work on standard error: a bar on a terminal, else a line each tenth of the way (for task logs)."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done, self._told = what, max(total, 1), 0, 0
        self._terminal = sys.stderr.isatty()

    def advance(self, count: int = 1) -> None:
        self._done += count
        tenth = self._done * 10 // self._total
        if tenth == self._told:
            return
        self._told = tenth
        line = f"{self._what}: {self._done:,} of {self._total:,} ({tenth * 10} %)"
        click.echo(f"\r{line}" if self._terminal else line, err=True, nl=not self._terminal or tenth >= 10)
