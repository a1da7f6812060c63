"""Takes over what a batch prediction job on Vertex AI wrote: checks it, records what failed, and says so last.

The job's results stay where they are. A sample without a line in them (it was refused before, or its request failed)
gets one with its error in ``predictions.jsonl``, so that each usable sample has exactly one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml import layout, releases
from ml.batches import check_refused_share, read_manifest, write_refusals
from ml.errors import DataError, NotFoundError
from ml.evaluation.lines import decode_parts
from ml.prediction.documents import (
    Instances,
    Predictions,
    forget_predictions,
    read_instances,
    read_predictions,
    refused_instances,
    write_predictions,
)
from ml.prediction.job_files import Given, KeyedError, KeyedLine, job_folder, one_line, read_errors, result_files
from ml.prediction.lines import Code, Failure, Line, encode_lines
from ml.prediction.samples import instance_of, predictable_batch, refusal_of
from ml.records import Refusal
from ml.settings import Settings
from ml.storage import Storage
from ml.temporary import temporary_folder

#: What is known of a sample: nothing to predict, no line yet, a prediction, failed with a line in the job's results,
#: failed without one.
_REFUSED, _AWAITED, _PREDICTED, _FAILED, _FAILED_ELSEWHERE = range(5)


def collect(
    storage: Storage, settings: Settings, batch_id: str, version: int, folder: str | None = None
) -> Predictions:
    """The batch's predictions by ``version`` from a job's ``folder`` (its URI, or its name); None where no sample was
    left to predict, or to find the finished predictions.

    A repeat changes nothing. Raises ``NotFoundError`` where there are no instances or no such folder, ``DataError`` for
    a folder of another batch or version, for results that are incomplete or don't fit the batch, and where more than
    ``data.max_refused_share`` failed.
    """
    releases.read_release(storage, version)
    name = None if folder is None else job_folder(storage, batch_id, version, folder)
    finished = read_predictions(storage, batch_id)
    if finished is None or finished.version != version or name not in (None, finished.folder):
        finished = _collect(storage, batch_id, version, name)
    check_refused_share(settings, finished.failed, finished.predicted + finished.failed)
    return finished


def _collect(storage: Storage, batch_id: str, version: int, folder: str | None) -> Predictions:
    batch = predictable_batch(storage, batch_id).id
    instances = read_instances(storage, batch, version)
    if instances is None:
        raise NotFoundError(f"batch {batch} has no instances for version {version}: run `prediction write-instances`")
    if folder is None and instances.samples:
        raise NotFoundError(f"batch {batch} has no finished predictions by version {version}: name the job's folder")
    found = _Found(storage, batch, instances)
    if folder is not None:
        found.read_results(folder)
        found.read_errors(folder)
    predictions = Predictions(version=version, predicted=found.predicted, failed=found.failed, folder=folder)
    with temporary_folder() as work:
        _publish(storage, batch, found, work)
    write_predictions(storage, batch, predictions)
    return predictions


class _Found:
    """What became of each sample, in five bytes."""

    def __init__(self, storage: Storage, batch: str, instances: Instances) -> None:
        self._storage, self._batch = storage, batch
        states = [_REFUSED if entry.refused is not None else _AWAITED for entry in read_manifest(storage, batch)]
        self._states: npt.NDArray[np.int8] = np.array(states, np.int8)
        self._reasons = np.zeros(len(states), np.int32)
        self._failures: dict[Failure, int] = {}
        name = refused_instances(batch, instances.version)
        for part in decode_parts(storage, name, Line):
            for position, line in enumerate(part.rows):
                failure = line.error or Failure(Code.UNKNOWN, "no reason given")
                self._fail(line.instance.key, failure, _FAILED_ELSEWHERE, f"{name}, line {part.number(position)}")
        if self._count(_AWAITED) != instances.samples:
            raise DataError(
                f"the instances of batch {batch} for version {instances.version} don't fit its manifest: delete "
                f"{storage.uri(name.rsplit('/', 1)[0])}, then predict again"
            )

    @property
    def predicted(self) -> int:
        return self._count(_PREDICTED)

    @property
    def failed(self) -> int:
        return self._count(_FAILED) + self._count(_FAILED_ELSEWHERE)

    def read_results(self, folder: str) -> None:
        for name in result_files(self._storage, folder):
            for part in decode_parts(self._storage, name, KeyedLine[Given]):
                keys = np.array([int(line.key) for line in part.rows], np.int64)
                inside = (keys >= 0) & (keys < len(self._states))
                misfits = ~inside
                misfits[inside] = self._states[keys[inside]] != _AWAITED
                misfits |= _repeated(keys)
                for position in np.flatnonzero(misfits).tolist()[:1]:
                    self._misfit(int(keys[position]), f"{name}, line {part.number(position)}")
                self._states[keys] = _PREDICTED
                for position, line in enumerate(part.rows):
                    if line.prediction is None:
                        self._fail_in_results(int(keys[position]), line.error)

    def read_errors(self, folder: str) -> None:
        """Marks every sample that has no line as failed. Raises ``DataError`` where the job tells no error."""
        general: Failure | None = None
        for key, code, message in read_errors(self._storage, folder):
            if key is None:
                general = general or Failure(code, message)
            elif not 0 <= key < len(self._states) or self._states[key] == _REFUSED:
                self._misfit(key, folder)
            elif self._states[key] == _AWAITED:
                self._fail(key, Failure(code, message), _FAILED_ELSEWHERE, folder)
        awaited = np.flatnonzero(self._states == _AWAITED).tolist()
        if awaited and general is None:
            raise DataError(
                f"the predictions in {self._storage.uri(folder)} are incomplete: {len(awaited):,} samples have none, "
                "and no error is told: delete the job, then predict the batch again"
            )
        for key in awaited:
            self._fail(key, general or Failure(Code.UNKNOWN, ""), _FAILED_ELSEWHERE, folder)

    def failures(self) -> Iterator[tuple[Line, bool]]:
        """The line of each sample that failed, in the manifest's order, and whether it is in the job's results."""
        failures = list(self._failures)
        for entry, state, reason in zip(
            read_manifest(self._storage, self._batch), self._states.tolist(), self._reasons.tolist(), strict=True
        ):
            if state in (_FAILED, _FAILED_ELSEWHERE):
                yield Line(instance_of(entry), error=failures[reason]), state == _FAILED

    def _fail_in_results(self, key: int, error: KeyedError | None) -> None:
        if error is None:
            raise DataError(f"sample {key} of batch {self._batch} has neither a prediction nor an error")
        self._states[key] = _AWAITED
        self._fail(key, Failure(error.number, one_line(error.message)), _FAILED, "the results")

    def _fail(self, key: int, failure: Failure, state: int, where: str) -> None:
        if not 0 <= key < len(self._states) or self._states[key] != _AWAITED:
            self._misfit(key, where)
        self._states[key] = state
        self._reasons[key] = self._failures.setdefault(failure, len(self._failures))

    def _misfit(self, key: int, where: str) -> None:
        inside = 0 <= key < len(self._states)
        if inside and self._states[key] != _REFUSED:
            raise DataError(f"{self._storage.uri(where)}: sample {key} has a line already")
        raise DataError(f"{self._storage.uri(where)}: sample {key} is not in the batch's manifest, or was refused")

    def _count(self, state: int) -> int:
        return int(np.count_nonzero(self._states == state))


def _repeated(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which positions hold a key that an earlier one holds, too."""
    repeated = np.ones(len(keys), np.bool_)
    repeated[np.unique(keys, return_index=True)[1]] = False
    return repeated


def _publish(storage: Storage, batch: str, found: _Found, work: Path) -> None:
    lines, refused = work / "lines", work / "refused"
    with lines.open("wb") as stream, refused.open("wb") as refusals:
        for line, in_results in found.failures():
            refusals.write(refusal_of(line).model_dump_json().encode() + b"\n")
            if not in_results:
                stream.write(encode_lines([line]))
    with refused.open("rb") as reasons:
        write_refusals(storage, batch, "predict", map(Refusal.from_json, reasons))
    forget_predictions(storage, batch)
    storage.upload(lines, layout.batch(batch, layout.PREDICTIONS))
