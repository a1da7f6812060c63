"""Arguments that several commands have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from ml.errors import SettingsError
from ml.names import safe_id

F = TypeVar("F", bound=Callable[..., Any])


def batch_argument(function: F) -> F:
    """Adds ``BATCH`` (parameter ``batch_id``): a batch's id, or the run id that it was frozen with."""
    return click.argument("batch_id", metavar="BATCH", callback=lambda _context, _parameter, value: safe_id(value))(
        function
    )


def settings_option(function: F) -> F:
    """Adds ``--set`` (parameter ``overrides``); :func:`given_settings` reads what it was given."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="For this run only, another value of a setting, such as training.epochs=3. Repeatable.",
    )(function)


def given_settings(overrides: Iterable[str]) -> dict[str, str]:
    """``KEY=VALUE`` each → dotted key → value as YAML. Raises ``SettingsError``."""
    given = {}
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not key:
            raise SettingsError(f"--set {override!r}: write KEY=VALUE, such as training.epochs=3")
        given[key] = value
    return given


def window_option(function: F) -> F:
    """Adds ``--window`` (parameter ``window``): text, or None."""
    return click.option("--window", help="The spans to read, such as 9,10. Default: the newest, as the settings say.")(
        function
    )


def revision_option(function: F) -> F:
    """Adds ``--revision`` (parameter ``revision``): text, or None."""
    text = (
        "Train with the modules that were shipped of this revision (a commit's full id), or with the `installed` ones. "
        "Default: those of the version that serves."
    )
    return click.option("--revision", help=text)(function)
