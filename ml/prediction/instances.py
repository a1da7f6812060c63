"""A frozen batch as a batch prediction job on Vertex AI reads it: JSON Lines with the samples' bytes in base64.

A sample that can't be read, or that the kind refuses, gets no line, since the one request that it is in would fail for
all the samples in it. The record is written last; what a crash left is overwritten under the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from ml import releases
from ml.batches import check_refused_share, read_manifest, write_refusals
from ml.fetching import Fetched, fetch
from ml.kinds import kind_of
from ml.kinds.kind import Serving
from ml.parallel import map_ahead
from ml.prediction.documents import (
    Instances,
    instances_folder,
    read_instances,
    refused_instances,
    write_instances_record,
)
from ml.prediction.lines import Line, encode_lines
from ml.prediction.samples import failed_line, lots, predictable_batch, refusal_of
from ml.settings import Settings
from ml.storage import Storage
from ml.temporary import temporary_folder

#: Bytes of one file, unless a single lot of samples has more: a job's machines share the work by file.
FILE_BYTES = 64 << 20
#: Lots that are checked meanwhile.
_LOTS = 2


_ENCODER = msgspec.json.Encoder()


def write_instances(
    storage: Storage,
    settings: Settings,
    batch_id: str,
    version: int,
    *,
    file_bytes: int = FILE_BYTES,
    advance: Callable[[int], None] = lambda _: None,
) -> Instances:
    """Writes the batch's usable samples below ``batches/<id>/instances/<version>/``; a repeat finds them.

    A sample that vanished or that the kind refuses is a refusal of the step "predict". Raises ``NotFoundError`` for a
    batch or version that isn't there, ``ConflictError`` for a closed batch, and ``DataError`` where no sample is usable
    or more than ``data.max_refused_share`` of them were refused.
    """
    releases.read_release(storage, version)
    batch = predictable_batch(storage, batch_id)
    written = read_instances(storage, batch.id, version)
    if written is None:
        written = _write(storage, settings, batch.id, version, file_bytes, advance)
        write_instances_record(storage, batch.id, written)
    check_refused_share(settings, written.refused, written.samples + written.refused)
    return written


def _write(
    storage: Storage, settings: Settings, batch: str, version: int, file_bytes: int, advance: Callable[[int], None]
) -> Instances:
    serving = kind_of(settings).serving(settings)
    usable = (entry for entry in read_manifest(storage, batch) if entry.refused is None)
    checked = map_ahead(lambda lot: _check(lot, serving), lots(fetch(storage, usable)), threads=_LOTS, ahead=_LOTS + 1)
    samples = 0
    refused: list[Line] = []
    with temporary_folder() as folder, ExitStack() as stack:
        files = _Files(storage, instances_folder(batch, version), folder / "instances", file_bytes)
        stack.callback(files.close)
        for encoded, failures, count in checked:
            files.write(encoded)
            refused += failures
            samples += count - len(failures)
            advance(count)
        names = files.finish()
    write_refusals(storage, batch, "predict", map(refusal_of, refused))
    storage.write(refused_instances(batch, version), encode_lines(refused))
    return Instances(version=version, samples=samples, refused=len(refused), files=names)


def _check(lot: list[Fetched], serving: Serving) -> tuple[bytes, list[Line], int]:
    """The lines of a lot's sound samples, those of the others with their errors, and how many it were."""
    refusals = iter(serving.refusals([sample.data for sample in lot if sample.missing is None]))
    sound, refused = [], []
    for sample in lot:
        reason = next(refusals) if sample.missing is None else sample.missing
        if reason is None:  # bytes are base64 in JSON
            sound.append({"key": sample.entry.index, serving.input: {"b64": sample.data}})
        else:
            refused.append(failed_line(sample, reason))
    return _ENCODER.encode_lines(sound), refused, len(lot)


class _Files:
    """Lines written to one object after another, each of about ``size`` bytes, by way of one local file."""

    def __init__(self, storage: Storage, folder: str, local: Path, size: int) -> None:
        self._storage, self._folder, self._local, self._size = storage, folder, local, size
        self._names: list[str] = []
        self._stream = local.open("wb")

    def write(self, lines: bytes) -> None:
        if self._stream.tell() and self._stream.tell() + len(lines) > self._size:
            self._upload()
        self._stream.write(lines)

    def finish(self) -> list[str]:
        """The names of all objects, within the folder."""
        if self._stream.tell():
            self._upload()
        return self._names

    def close(self) -> None:
        self._stream.close()

    def _upload(self) -> None:
        self._stream.flush()
        self._names.append(f"instances-{len(self._names):05}.jsonl")
        self._storage.upload(self._local, f"{self._folder}/{self._names[-1]}")
        self._stream.seek(0)
        self._stream.truncate()
