"""The files of a batch prediction job on Vertex AI, and their lines.

A job writes ``prediction.results-NNNNN-of-NNNNN``, one JSON object to a line: with ``instanceConfig.keyField`` it has
the sample's key in place of the instance (as text, or as the number that it was), and a ``prediction`` or an ``error``.
``prediction.errors_stats-…`` (or ``errors_…``) may tell of samples that have no such line: one by one, or only in sum.
https://cloud.google.com/vertex-ai/docs/predictions/get-batch-predictions
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Generic, TypeVar

import msgspec

from ml.errors import DataError, NotFoundError
from ml.prediction.documents import prediction_folder
from ml.prediction.lines import Code
from ml.storage import Storage

_RESULTS = "prediction.results"
_ERRORS = ("prediction.errors", "errors_")
_SHARD = re.compile(r"(?P<files>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})(?P<ending>\D*)")

P = TypeVar("P")

#: The sample's index in the manifest.
Key = (
    Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
    | Annotated[str, msgspec.Meta(min_length=1, max_length=18, pattern="^[0-9]+$")]
)


class KeyedError(msgspec.Struct, gc=False):
    """``code`` is a google.rpc code; some models' errors have its name as ``status`` instead."""

    code: int = 0
    status: str = ""
    message: str = ""

    @property
    def number(self) -> int:
        """The code, whichever way it is told; 2 (unknown) where it isn't."""
        return self.code or Code.__members__.get(self.status, Code.UNKNOWN)


class KeyedLine(msgspec.Struct, Generic[P], gc=False):
    """A line of a results file; of its prediction those fields are decoded that ``P`` names, the rest is skipped."""

    key: Key
    prediction: P | None = None
    error: KeyedError | None = None


class Given(msgspec.Struct, gc=False):
    """That there is a prediction, whatever it says."""


class _Keyed(msgspec.Struct, gc=False):
    key: Key


class _ErrorLine(msgspec.Struct, gc=False):
    error: KeyedError
    key: Key | None = None
    instance: _Keyed | None = None


def job_folder(storage: Storage, batch: str, version: int, folder: str) -> str:
    """The name, below the storage, of the folder that a job wrote for this batch and version; ``folder`` is its URI, or
    its last part. Raises ``DataError`` for one that is elsewhere."""
    place = prediction_folder(batch, version)
    name = folder.rstrip("/").removeprefix(storage.uri(place) + "/")
    if "/" in name or name in ("", ".", ".."):
        raise DataError(f"{folder} is no folder of a job that predicted batch {batch} with version {version}")
    return f"{place}/{name}"


def result_files(storage: Storage, folder: str) -> list[str]:
    """The job's results files, sorted. Raises ``NotFoundError`` where there are none, ``DataError`` where one of them
    is missing."""
    found = _files(storage, folder, _RESULTS)
    if not found:
        raise NotFoundError(f"there are no prediction files in {storage.uri(folder)}: predict the batch again")
    for group, (total, numbers) in _shards(found).items():
        if missing := sorted(set(range(total)) - numbers):
            raise DataError(
                f"{storage.uri(group)} is incomplete: of {total} files {len(missing)} are missing, the first is "
                f"number {missing[0]}: delete the job, then predict the batch again"
            )
    return found


def read_errors(storage: Storage, folder: str) -> Iterator[tuple[int | None, int, str]]:
    """What the job's error files tell: (key or None, code, message) of each line. Without a key it is of some samples,
    nobody knows which."""
    for name in _files(storage, folder, *_ERRORS):
        with storage.open(name) as lines:
            for line in lines:
                if line.strip():
                    yield _error(line)


def _error(line: bytes) -> tuple[int | None, int, str]:
    try:
        told = msgspec.json.decode(line, type=_ErrorLine)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None, Code.UNKNOWN, one_line(line.decode("utf-8", "replace"))
    key = told.key
    if key is None and told.instance is not None:
        key = told.instance.key
    return None if key is None else int(key), told.error.number, one_line(told.error.message)


def one_line(message: str) -> str:
    """A service's message as a reason: one line of at most 200 characters."""
    return " ".join(message.split())[:200] or "no reason given"


def _files(storage: Storage, folder: str, *beginnings: str) -> list[str]:
    return sorted(info.name for info in storage.list(folder) if info.name.rsplit("/", 1)[-1].startswith(beginnings))


def _shards(names: list[str]) -> dict[str, tuple[int, set[int]]]:
    """Of each group of numbered files: how many there should be, and which there are."""
    groups: dict[str, tuple[int, set[int]]] = {}
    for name in names:
        if match := _SHARD.fullmatch(name):
            groups.setdefault(match["files"], (int(match["total"]), set()))[1].add(int(match["number"]))
    return groups
