"""Arguments that the commands of ``ci-cd`` have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ml.ci_cd.names import check_revision
from ml.errors import NotFoundError, SettingsError

F = TypeVar("F", bound=Callable[..., Any])


def checkout_options(function: F) -> F:
    """Adds ``--checkout`` (a resolved folder), ``--revision`` (a full commit id) and ``--content`` (text or None).

    What isn't valid is a ``SettingsError``; a folder that isn't there, ``NotFoundError``.
    """
    for option in (
        click.option(
            "--content",
            help="A hash of what the step depends on in the repository. It is not run again where it passed with the "
            "same one.  [default: run it]",
        ),
        click.option("--revision", required=True, callback=_revision, help="The checkout's commit, its full id."),
        click.option(
            "--checkout",
            required=True,
            type=click.Path(path_type=Path),
            callback=_checkout,
            help="Folder with the repository's files at that revision.",
        ),
    ):
        function = option(function)
    return function


def _checkout(_context: click.Context, _parameter: click.Parameter, value: Path) -> Path:
    if not value.is_dir():
        raise NotFoundError(f"--checkout: there is no folder {value}")
    return value.resolve()


def _revision(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        return check_revision(value)
    except ValueError as error:
        raise SettingsError(f"--revision: {error}") from None
