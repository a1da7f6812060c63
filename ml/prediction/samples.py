"""What both targets do with a batch before the model sees it: may it be predicted, and its samples in lots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ml.batches import read_batch
from ml.errors import ConflictError, DataError
from ml.fetching import Fetched
from ml.prediction.lines import Code, Failure, Instance, Line
from ml.records import Batch, BatchState, ManifestEntry, Refusal
from ml.storage import Storage

#: Samples in one call of the model, and their bytes.
_LOT = 256
_LOT_BYTES = 16 << 20


def predictable_batch(storage: Storage, batch_id: str) -> Batch:
    """The batch's record. Raises ``NotFoundError`` where there is none, ``ConflictError`` for a closed batch, and
    ``DataError`` for one without a usable sample."""
    batch = read_batch(storage, batch_id)
    if batch.state is not BatchState.OPEN:
        raise ConflictError(f"batch {batch.id} is {batch.state.value}, it can't be predicted: freeze another batch")
    if not batch.samples:
        raise DataError(f"batch {batch.id} has no usable sample: all {batch.refused} were refused when it was frozen")
    return batch


def lots(groups: Iterable[list[Fetched]]) -> Iterator[list[Fetched]]:
    """The samples in lists of about 256, fewer where they are large."""
    lot: list[Fetched] = []
    size = 0
    for group in groups:
        lot += group
        size += sum(len(sample.data) for sample in group)
        if len(lot) >= _LOT or size >= _LOT_BYTES:
            yield lot
            lot, size = [], 0
    if lot:
        yield lot


def instance_of(entry: ManifestEntry) -> Instance:
    return Instance(entry.index, entry.object, entry.generation)


def failed_line(sample: Fetched, reason: str) -> Line:
    """The line of a sample that has no prediction: ``reason`` tells why it can't be read, or what is wrong with it."""
    code = Code.INVALID_ARGUMENT if sample.missing is None else Code.NOT_FOUND
    return Line(instance_of(sample.entry), error=Failure(code, str(reason)))


def refusal_of(line: Line) -> Refusal:
    """The refusal that belongs to a line with an error."""
    sample = line.instance
    reason = line.error.message if line.error is not None else ""
    return Refusal(index=sample.key, object=sample.object, generation=sample.generation, reason=reason)
