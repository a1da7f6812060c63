"""What a pipeline's own code raises, told in one line with its place in the code."""

from __future__ import annotations

import contextlib
import importlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ml.errors import CodeError, RespanError

_LONGEST = 400


@contextlib.contextmanager
def user_code(folder: Path) -> Iterator[None]:
    """Around calls of the code of the pipeline in ``folder``.

    What it raises becomes a ``CodeError``, ``…/flowers/model.py:12: NameError: …``; its stack trace goes to standard
    error. Respan's own errors pass.
    """
    try:
        yield
    except RespanError:
        raise
    except (Exception, SystemExit) as error:
        traceback.print_exc(file=sys.stderr)
        raise CodeError(f"{place(error, folder) or folder}: {_message(error)}") from error


def fault_of(error: Exception, folders: Iterable[Path]) -> CodeError | None:
    """What :func:`user_code` makes of the error; None where no code of the pipelines in ``folders`` was under way."""
    found = next(filter(None, (place(error, folder) for folder in folders)), None)
    return CodeError(f"{found}: {_message(error)}") if found else None


def load_function(folder: Path, module: str, name: str) -> Callable[..., Any]:
    """The function ``name`` of a module of the pipeline in ``folder``, which has to be bound already
    (:func:`ml.pipeline_modules.bind_pipeline`). Raises ``CodeError`` where there is none or the import fails."""
    with user_code(folder):
        function = getattr(importlib.import_module(module), name, None)
    if not callable(function):
        raise CodeError(f"{folder / module.rsplit('.', 1)[-1]}.py defines no function {name}: it has to")
    loaded: Callable[..., Any] = function
    return loaded


def place(error: BaseException, folder: Path) -> str | None:
    """``<file>:<line>`` of what comes last before the error within ``folder``; None where nothing does."""
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
    inside = [f"{name}:{line}" for name, line in places if Path(name).is_relative_to(folder)]
    return inside[-1] if inside else None


def _message(error: BaseException) -> str:
    text = " ".join((error.msg if isinstance(error, SyntaxError) else str(error)).split())
    told = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return told if len(told) <= _LONGEST else f"{told[: _LONGEST - 1]}…"
