"""What a row is, and the two parts of the kind that look at rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np

from ml.kinds.classification.answers import OUTPUTS, Answer, answers
from ml.kinds.classification.examples import encode_example
from ml.kinds.kind import Collected, Inspected, Refused

#: A measurement; float32 holds it.
Measure = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """One wine."""

    alcohol: Measure
    malic_acid: Measure
    ash: Measure
    alcalinity_of_ash: Measure
    magnesium: Measure
    total_phenols: Measure
    flavanoids: Measure
    nonflavanoid_phenols: Measure
    proanthocyanins: Measure
    color_intensity: Measure
    hue: Measure
    od280_od315: Measure
    proline: Measure


COLUMNS: tuple[str, ...] = Row.__struct_fields__


def read_row(data: bytes) -> Row | Refused:
    """The row in a file, or why it is none."""
    if b"\\" in data:
        return Refused("not a row: a key is written with an escape, which the model doesn't read")
    try:
        return msgspec.json.decode(data, type=Row)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Refused(f"not a row: {error}")


class RowInspector:
    """An ``ml.kinds.kind.Inspector``. A row's content is its numbers, however the file is written."""

    columns = COLUMNS

    def inspect(self, samples: Iterable[Collected | Refused]) -> Iterator[list[Inspected | Refused]]:
        for sample in samples:
            yield [sample if isinstance(sample, Refused) else _inspected(sample)]

    def conflict(self, one: str, other: str) -> str:
        return f"the same row lies under the labels {one!r} and {other!r}: keep it under one"


def _inspected(sample: Collected) -> Inspected | Refused:
    row, label = read_row(sample.objects[0]), sample.label or ""
    if isinstance(row, Refused):
        return row
    numbers = np.array(msgspec.structs.astuple(row), np.float32).tobytes()
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
        return len(data) * len(COLUMNS)

    def answers(self, outputs: Mapping[str, Any]) -> list[Answer]:
        return answers(outputs)
