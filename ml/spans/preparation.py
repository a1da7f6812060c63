"""Prepares a span: reads a frozen batch once, keeps what is usable and distinct, splits it, writes it, publishes it.

Everything is decided by content, so a repeat of a run gives the same bytes, whatever order the samples arrived in. What
a crashed run has left behind is either found again (its number, its splits) or invisible.
"""

from __future__ import annotations

import gzip
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import msgspec

from ml import layout
from ml.batches import check_refused_share, read_batch, read_manifest, write_refusals
from ml.claims import claim_number, held_number
from ml.errors import ConflictError, DataError
from ml.fetching import Fetched, fetch
from ml.kinds.image_classification.examples import encode_example
from ml.kinds.image_classification.inspection import Inspected, inspect, statistics_columns
from ml.kinds.images.encoded import Encoded, UnusableImageError
from ml.kinds.images.statistics import STATISTICS
from ml.records import Batch, BatchState, Claim, Span
from ml.settings import Settings
from ml.spans import splits
from ml.spans.assignment import Split
from ml.spans.columns import ColumnsWriter
from ml.spans.documents import read_span
from ml.spans.shards import frame, write_shards
from ml.spans.workspace import Candidate, Example, Workspace
from ml.storage import Storage
from ml.temporary import temporary_folder

_ROWS = 1000

T = TypeVar("T")


def prepare(
    storage: Storage, settings: Settings, batch_id: str, *, advance: Callable[[int], None] = lambda _: None
) -> Span:
    """The span made of the batch, which is prepared on the first call and found on every later one.

    ``advance`` is told of every few samples done. Refused samples are recorded in the batch's refusals in any case;
    then ``DataError`` is raised where none is left, or more than ``data.max_refused_share`` were refused here, and
    nothing is published. Raises ``NotFoundError`` for a batch that doesn't exist, ``ConflictError`` for a closed one.
    """
    batch = read_batch(storage, batch_id)
    if published := _published(storage, batch.id):
        return published
    if batch.state is not BatchState.OPEN:
        raise ConflictError(f"batch {batch.id} is {batch.state.value}, no span can be made of it: freeze another batch")
    with temporary_folder() as folder, Workspace() as workspace:
        _collect(storage, settings, batch, workspace, advance)
        counts = workspace.count()
        write_refusals(storage, batch.id, "span", workspace.refusals())
        if not counts.images:
            why = workspace.most_frequent_reason()
            raise DataError(
                f"batch {batch.id} has no usable sample: all {counts.samples} were refused"
                + (f" (most frequent reason: {why})" if why else "")
            )
        check_refused_share(settings, counts.refused_here, batch.samples, reason=workspace.most_frequent_reason())
        number = claim_number(storage, "spans", by=batch.id)
        _place(storage, settings, workspace, folder / "splits")
        span = _span(storage, batch, number, workspace)
        _write(folder / "span", span, workspace, settings)
        try:
            storage.publish(folder / "span", layout.span(number), marker=layout.SPAN)
        except ConflictError:
            # The same run, started twice, was faster: the same bytes stand there.
            return read_span(storage, number)
    return span


def _published(storage: Storage, batch: str) -> Span | None:
    number = held_number(storage, "spans", by=batch)
    if number is None or not storage.exists(layout.span(number, layout.SPAN)):
        return None
    return read_span(storage, number)


def _collect(
    storage: Storage, settings: Settings, batch: Batch, workspace: Workspace, advance: Callable[[int], None]
) -> None:
    waiting: deque[Fetched] = deque()  # what is being decoded: a few parts

    def encoded() -> Iterator[Encoded]:
        for sample in chain.from_iterable(fetch(storage, read_manifest(storage, batch.id), whole=True)):
            waiting.append(sample)
            yield sample.data if sample.missing is None else UnusableImageError(sample.missing)

    for part in inspect(encoded(), settings.data.max_sample_pixels):
        samples = [waiting.popleft() for _ in part]
        workspace.add(
            (sample.entry, found if isinstance(found, str) else _candidate(sample, found))
            for sample, found in zip(samples, part, strict=True)
        )
        advance(len(part))
    workspace.close_collection()


def _candidate(sample: Fetched, found: Inspected) -> Candidate:
    return Candidate(found.content, frame(encode_example(sample.data, sample.entry.label or "")), found.statistics)


def _place(storage: Storage, settings: Settings, workspace: Workspace, local: Path) -> None:
    """Gives every image its split and remembers it; see :mod:`ml.spans.splits` for why this loops."""
    while True:
        entries = splits.entries(storage)
        workspace.forget_splits()
        for number in range(1, entries + 1):
            for images in splits.read_entry(storage, number):
                workspace.place(images)
        workspace.decide(settings.data.eval_share)
        newly = workspace.newly_placed()
        first = next(newly, None)
        if first is None or splits.append(storage, entries + 1, chain([first], newly), local):
            return


def _span(storage: Storage, batch: Batch, number: int, workspace: Workspace) -> Span:
    classes = workspace.classes()
    counts = workspace.count()
    return Span(
        span=number,
        batch=batch.id,
        created=Claim.from_json(storage.read(layout.claim("spans", number))).since,  # the same on every retry
        classes=classes,
        train=sum(count.train for count in classes.values()),
        eval=sum(count.eval for count in classes.values()),
        duplicates=counts.duplicates,
        refused=counts.refused,
    )


def _write(folder: Path, span: Span, workspace: Workspace, settings: Settings) -> None:
    folder.mkdir()
    columns = {
        "label": f"<U{max(map(len, span.classes))}",
        "split": f"<U{max(len(split.value) for split in Split)}",
        **dict.fromkeys(STATISTICS, "<f4"),
    }
    with ColumnsWriter(folder / layout.SPAN_STATISTICS, columns, span.train + span.eval) as statistics:
        for split, count in ((Split.TRAIN, span.train), (Split.EVAL, span.eval)):
            framed = _framed(workspace.examples(split), count, split, statistics)
            write_shards(framed, count, folder / split.value, shard_samples=settings.data.shard_samples)
    encoder = msgspec.json.Encoder()
    with (
        (folder / layout.SPAN_SAMPLES).open("wb") as stream,
        gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=stream, mtime=0) as lines,
    ):
        for block in _blocks(workspace.fates()):
            lines.write(encoder.encode_lines(block))
    (folder / layout.SPAN).write_bytes(span.to_json())


def _framed(examples: Iterator[Example], count: int, split: Split, statistics: ColumnsWriter) -> Iterator[bytes]:
    """The ``count`` examples for their files; their rows of statistics are written on the way, before the last one."""
    labels: list[str] = []
    rows: list[bytes] = []
    for number, example in enumerate(examples, 1):
        labels.append(example.label)
        rows.append(example.statistics)
        if number == count or len(rows) == _ROWS:
            splits_column = [split.value] * len(labels)
            statistics.write({"label": labels, "split": splits_column, **statistics_columns(rows)})
            labels, rows = [], []
        yield example.framed


def _blocks(items: Iterator[T]) -> Iterator[list[T]]:
    while block := list(islice(items, _ROWS)):
        yield block
