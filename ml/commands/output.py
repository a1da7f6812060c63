"""How commands show results and progress."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


#: Key of a context's ``meta``: where the result goes.
_RESULTS = "ml.commands.output.results"


def json_option(function: F) -> F:
    """Adds ``--json`` (parameter ``as_json``) to a command.

    The document that :func:`show` prints is then all that standard output gets: what a user's module, Keras or TFX
    print there on the way goes to standard error.
    """
    text = "Print one JSON document on standard output."
    return click.option("--json", "as_json", is_flag=True, is_eager=True, callback=_keep_for_results, help=text)(
        function
    )


def _keep_for_results(context: click.Context, _option: click.Parameter, as_json: bool) -> bool:
    if as_json:
        context.meta[_RESULTS] = sys.stdout
        context.with_resource(contextlib.redirect_stdout(sys.stderr))
    return as_json


def show(document: Mapping[str, Any], *, as_json: bool, text: str) -> None:
    """A command's result: ``document`` as one line of JSON, or ``text`` for people."""
    context = click.get_current_context(silent=True)
    results = context.meta.get(_RESULTS) if context else None
    click.echo(json.dumps(document, default=str, sort_keys=True) if as_json else text, file=results)


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
