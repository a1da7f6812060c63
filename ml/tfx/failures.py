"""One line that says why a component failed, out of what TensorFlow and Beam raise."""

from __future__ import annotations

import re

from ml.errors import RespanError

_LONGEST = 400
_BEAM = re.compile(r"\s*\[while running '.*$", re.DOTALL)
_SKIPPED = re.compile(
    r"\[\[|\{\{|Graph execution error|Detected at node|File \"|Stack trace|node |Traceback|During handling|\t"
)


def innermost(error: BaseException) -> BaseException:
    """The innermost error of Respan's own if there is one, else the error that came first."""
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
        chain.append(inner)
    return next((one for one in reversed(chain) if isinstance(one, RespanError)), chain[-1])


def cause(error: BaseException) -> str:
    """The message of :func:`innermost`, with its type where it isn't one of Respan's own."""
    first = innermost(error)
    return str(first) if isinstance(first, RespanError) else f"{type(first).__name__}: {_message(first)}"


def _message(error: BaseException) -> str:
    text = _BEAM.sub("", str(error))
    lines = [line for line in text.splitlines() if line.strip() and not _SKIPPED.match(line)]
    line = " ".join((lines[-1] if lines else text).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
