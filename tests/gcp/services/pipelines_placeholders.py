"""Placeholders in what a pipeline's spec tells a container or a resolver: ``{{$}}`` and ``{{$.inputs…}}``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_PLACEHOLDER = re.compile(r"\{\{\$((?:\.\w+|\['[^']*'\])*)\}\}")
_STEP = re.compile(r"\.(\w+)|\['([^']*)'\]")


class MissingValueError(Exception):
    """A placeholder's value isn't there; its text says which."""


def substitute(text: str, executor_input: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """``text`` with its placeholders replaced. ``names``: those without a path, such as ``pipeline_job_name``.

    Raises ``MissingValueError``.
    """

    def value(found: re.Match[str]) -> str:
        steps = [plain or quoted for plain, quoted in _STEP.findall(found[1])]
        if not steps:
            return json.dumps(executor_input, sort_keys=True)
        if len(steps) == 1 and steps[0] in names:
            return names[steps[0]]
        try:
            result = _walk(executor_input, steps)
        except (KeyError, IndexError, TypeError) as error:
            raise MissingValueError(found[0]) from error
        return result if isinstance(result, str) else json.dumps(result)

    return _PLACEHOLDER.sub(value, text)


def _walk(executor_input: Mapping[str, Any], steps: list[str]) -> Any:
    side, kind, *rest = steps
    if (side, kind) == ("outputs", "output_file"):
        return executor_input["outputs"]["outputFile"]
    if kind == "parameters":
        if side == "inputs":
            return executor_input["inputs"]["parameterValues"][rest[0]]
        return executor_input["outputs"]["parameters"][rest[0]]["outputFile"]
    artifact: Any = executor_input[side][kind][rest[0]]["artifacts"][0]
    for step in rest[1:]:
        artifact = artifact["uri"].replace("gs://", "/gcs/", 1) if step == "path" else artifact[step]
    return artifact
