"""A command of the checkout's own ``ml``, in the sandbox, and what is told of its failure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml.ci_cd.sandbox import MlResult, run_ml, sandbox_environment
from ml.errors import ERRORS_BY_EXIT_CODE, CodeError, MissingEnvironmentError, RespanError, StorageError
from ml.settings import Settings

_LONGEST = 500
_FRAME = re.compile(r'^ *File "([^"\n]+)", line (\d+)', re.MULTILINE)

#: What isn't the code's fault, whatever the code is.
_SURROUNDINGS = (StorageError, MissingEnvironmentError)


def checkout_command(
    argv: Sequence[str], *, what: str, settings: Settings, checkout: Path, folder: Path
) -> dict[str, Any] | None:
    """Runs ``python -m ml *argv`` of ``checkout`` in a sandbox in ``folder``, and returns its JSON document if any.

    ``what`` names the command in messages, in the plural. The limits are those of ``settings``. Raises ``CodeError``
    where the command fails or reaches a limit, with what it told, or file and line where it told nothing;
    ``KilledError`` where somebody ended it, ``StorageError`` and ``MissingEnvironmentError`` where it ended with those.
    """
    result = run_ml(
        argv,
        folder=folder,
        limits=settings.ci_cd.limits,
        checkout=checkout,
        environment=sandbox_environment(folder, checkout, settings.ci_cd.pipelines_path),
    )
    code = result.outcome.check(what, settings.ci_cd.limits)
    if code < 0:
        raise CodeError(f"{what} crashed: killed by signal {-code}")
    if code:
        raise _failure(code, result, checkout)
    return result.document


def _failure(code: int, result: MlResult, checkout: Path) -> RespanError:
    told = result.error or f"it ended with exit code {code} and no message"
    place = _place(result.outcome.output.tail, checkout) if code == 1 else None
    text = f"{place}: {told}" if place else told
    text = text.replace(f"{checkout}/", "")
    kind = ERRORS_BY_EXIT_CODE.get(code, CodeError)
    return (kind if kind in _SURROUNDINGS else CodeError)(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def _place(written: str, checkout: Path) -> str | None:
    """The last file and line of the checkout in a stack trace."""
    frames = [found for found in _FRAME.finditer(written) if Path(found[1]).is_relative_to(checkout)]
    return f"{frames[-1][1]}:{frames[-1][2]}" if frames else None
