"""What a row is, and the two parts of the kind that look at rows."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.kinds.classification.answers import OUTPUTS, Answer, answers
from ml.kinds.classification.examples import encode_example
from ml.kinds.kind import Collected, Inspected, Refused

from .columns import COLUMNS

#: No measurement is further from zero. The limit leaves room for squares, which scaling needs, in float32.
LARGEST = 1e15

#: One number for each of ``COLUMNS``.
Row = npt.NDArray[np.float32]


class Pairs(list[tuple[str, Any]]):
    """A JSON object's keys and values as they were written: a key may be there twice."""


def read_row(data: bytes, columns: Sequence[str] = COLUMNS) -> Row | Refused:
    """The row in a file, one number for each of ``columns``; or why it is not a row."""
    try:
        pairs = json.loads(data.decode("utf-8"), object_pairs_hook=Pairs)
    except (ValueError, RecursionError) as error:
        return Refused(f"not a row: {error}")
    if not isinstance(pairs, Pairs):
        return Refused("not a row: it has to be a JSON object of numbers")
    found = Counter(key for key, _ in pairs)
    for column in columns:
        if found[column] != 1:
            return Refused(f"not a row: {quoted(column)} is {'missing' if column not in found else 'there twice'}")
    for key, value in pairs:
        if key not in columns:
            return Refused(f"not a row: {quoted(key)} is not one of the columns")
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
            return Refused(f"not a row: {quoted(key)} has to be a number from -{LARGEST:g} to {LARGEST:g}")
    values = dict(pairs)
    return np.array([values[column] for column in columns], np.float64).astype(np.float32)


def quoted(column: str) -> str:
    """A column's name on one line, whatever it is: as JSON writes it."""
    return json.dumps(column, ensure_ascii=False)


class RowInspector:
    """An ``ml.kinds.kind.Inspector``. A row's content is its numbers, however the file is written."""

    columns = tuple(quoted(column) for column in COLUMNS)

    def inspect(self, samples: Iterable[Collected | Refused]) -> Iterator[list[Inspected | Refused]]:
        for sample in samples:
            yield [sample if isinstance(sample, Refused) else _inspected(sample)]

    def conflict(self, one: str, other: str) -> str:
        return f"the same row lies under the labels {one!r} and {other!r}: keep it under one"


def _inspected(sample: Collected) -> Inspected | Refused:
    row, label = read_row(sample.objects[0]), sample.label or ""
    if isinstance(row, Refused):
        return row
    numbers = row.tobytes()
    return Inspected(
        content=hashlib.sha256(numbers).digest(),
        truth=label,
        stratum=label,
        example=encode_example("row", sample.objects[0], label),
        statistics=numbers,
        classes=(label,),
    )


class RowServing:
    """An ``ml.kinds.kind.Serving``."""

    input = "row"
    outputs = OUTPUTS

    def refusal(self, data: bytes) -> Refused | None:
        row = read_row(data)
        return row if isinstance(row, Refused) else None

    def refusals(self, data: Sequence[bytes]) -> list[Refused | None]:
        return [self.refusal(one) for one in data]

    def memory(self, data: bytes) -> int:
        return 20 * len(data)

    def answers(self, outputs: Mapping[str, Any]) -> list[Answer]:
        return answers(outputs)
