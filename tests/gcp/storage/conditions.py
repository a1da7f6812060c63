"""Preconditions on generations and metagenerations.

https://cloud.google.com/storage/docs/request-preconditions
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.gcp.storage.http import StorageError

_MESSAGE = "At least one of the pre-conditions you specified did not hold."


def check(current: Mapping[str, Any] | None, query: Mapping[str, str], *, kind: str = "", reads: bool = False) -> None:
    """Raise StorageError if an object is not as a request wants it: 412, or 304 for what a read already has.

    ``current``: the live object's metadata, None: there is none, which is generation 0; ``kind``: ``"Source"`` for the
    parameters about the source of a copy.
    """
    generation = int(current["generation"]) if current else 0
    metageneration = int(current["metageneration"]) if current else 0
    for parameter, actual, wants_equal in (
        (f"if{kind}GenerationMatch", generation, True),
        (f"if{kind}MetagenerationMatch", metageneration, True),
        (f"if{kind}GenerationNotMatch", generation, False),
        (f"if{kind}MetagenerationNotMatch", metageneration, False),
    ):
        wanted = query.get(parameter)
        if wanted is None:
            continue
        if (_number(parameter, wanted) == actual) != wants_equal:
            unchanged = reads and not wants_equal
            raise StorageError(304 if unchanged else 412, "conditionNotMet", _MESSAGE)


def _number(parameter: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise StorageError(400, "invalid", f"Invalid value at '{parameter}': {text!r}") from error
