"""Reads a batch's predicted masks, each with its entry of the manifest. Only this batch's files are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
import numpy as np

from ml import layout
from ml.errors import DataError
from ml.evaluation import objects
from ml.evaluation.lines import Part, decode_parts
from ml.evaluation.objects import Instance
from ml.evaluation.predictions import prediction_files
from ml.kinds.semantic_segmentation.serving import Answer
from ml.prediction.job_files import KeyedError, KeyedLine, one_line
from ml.prediction.lines import Failure
from ml.storage import Storage


class Entry(objects.Entry, gc=False):
    """An entry's image and mask; there is none where it was refused."""

    @property
    def image(self) -> Instance:
        return Instance(self.object, self.generation)

    @property
    def mask(self) -> Instance:
        return self.parts[0]


class _Key(msgspec.Struct, gc=False):
    key: Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]


class _Line(msgspec.Struct, gc=False):
    """A line that names the sample's object. A job on Vertex AI writes a ``KeyedLine`` instead."""

    instance: _Key
    prediction: Answer | None = None
    error: KeyedError | None = None


def read_entries(storage: Storage, batch: str) -> list[Entry]:
    """Every entry of the manifest, in its order."""
    parts = decode_parts(storage, layout.batch(batch, layout.MANIFEST), Entry)
    return [entry for part in parts for entry in part.rows]


def read_answers(storage: Storage, batch: str, entries: list[Entry]) -> Iterator[list[tuple[int, Answer | Failure]]]:
    """For each usable entry its number and what was predicted, in the lines' order, a part of the lines at a time.

    Raises ``NotFoundError`` where there are no predictions, and ``DataError`` for predictions that are not exactly one
    for each usable entry.
    """
    awaited = np.array([entry.refused is None for entry in entries], np.bool_)
    for name in prediction_files(storage, batch):
        for part in _read_lines(storage, name):
            found = []
            rows: Sequence[_Line | KeyedLine[Answer]] = part.rows
            for position, line in enumerate(rows):
                key = int(line.key if isinstance(line, KeyedLine) else line.instance.key)
                if not 0 <= key < len(entries) or not awaited[key]:
                    where = f"{storage.uri(name)}, line {part.number(position)}"
                    raise DataError(f"{where}: {_misfit(key, entries)}; run `predict` for batch {batch} again")
                awaited[key] = False
                found.append((key, _answer(line)))
            yield found
    if missing := int(np.count_nonzero(awaited)):
        usable = sum(entry.refused is None for entry in entries)
        raise DataError(
            f"the predictions of batch {batch} are incomplete: {missing:,} of {usable:,} samples have none; "
            "run `predict` again"
        )


def _read_lines(storage: Storage, name: str) -> Iterator[Part[_Line] | Part[KeyedLine[Answer]]]:
    if name.endswith(f"/{layout.PREDICTIONS}"):
        yield from decode_parts(storage, name, _Line)
    else:
        yield from decode_parts(storage, name, KeyedLine[Answer])


def _misfit(key: int, entries: list[Entry]) -> str:
    if 0 <= key < len(entries) and entries[key].refused is None:
        return f"sample {key} has a prediction already"
    return f"sample {key} is not in the batch's manifest, or was refused"


def _answer(line: _Line | KeyedLine[Answer]) -> Answer | Failure:
    if line.prediction is not None:
        return line.prediction
    error = line.error or KeyedError(message="neither a prediction nor an error was written")
    return Failure(error.number, one_line(error.message))
