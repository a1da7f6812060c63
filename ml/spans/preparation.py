"""Prepares a span: reads a frozen batch once, keeps what is usable and distinct, splits it, writes it, publishes it.

Everything is decided by content, so a repeat of a run gives the same bytes, whatever order the samples arrived in. What
a crashed run has left behind is either found again (its number, its splits) or invisible.
"""

from __future__ import annotations

import gzip
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import msgspec

from ml import layout
from ml.batches import check_refused_share, read_batch, read_manifest, write_refusals
from ml.claims import claim_number, held_number
from ml.errors import CodeError, ConflictError, DataError
from ml.fetching import Fetched, fetch
from ml.kinds import kind_of
from ml.kinds.kind import Collected, Inspected, Inspector, Refused
from ml.records import Batch, BatchState, Claim, ManifestEntry, Span
from ml.settings import Settings
from ml.spans import splits
from ml.spans.assignment import Split
from ml.spans.columns import ColumnsWriter, float_columns
from ml.spans.documents import read_span
from ml.spans.shards import frame, write_shards
from ml.spans.workspace import Candidate, Example, Workspace
from ml.storage import Storage
from ml.temporary import temporary_folder

_ROWS = 1000
_CONTENT_BYTES = 32
_FLOAT_BYTES = 4
#: Columns that the core adds to the kind's.
_ADDED = {"label", "split"}

#: An archive cuts an entry's name at a zero byte, and a message has one line.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

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
    inspector = kind_of(settings).inspector(settings)
    _check_columns(inspector)
    with temporary_folder() as folder, Workspace() as workspace:
        _collect(storage, inspector, batch, workspace, advance)
        counts = workspace.count()
        write_refusals(storage, batch.id, "span", workspace.refusals())
        if not counts.distinct:
            why = workspace.most_frequent_reason()
            raise DataError(
                f"batch {batch.id} has no usable sample: all {counts.samples} were refused"
                + (f" (most frequent reason: {why})" if why else "")
            )
        check_refused_share(settings, counts.refused_here, batch.samples, reason=workspace.most_frequent_reason())
        number = claim_number(storage, "spans", by=batch.id)
        _place(storage, settings, workspace, folder / "splits")
        span = _span(storage, batch, number, workspace)
        _write(folder / "span", span, workspace, inspector.columns, settings.data.shard_samples)
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
    storage: Storage, inspector: Inspector, batch: Batch, workspace: Workspace, advance: Callable[[int], None]
) -> None:
    waiting: deque[ManifestEntry] = deque()  # of what is being inspected

    def collected() -> Iterator[Collected | Refused]:
        for sample in chain.from_iterable(fetch(storage, read_manifest(storage, batch.id), whole=True)):
            waiting.append(sample.entry)
            yield _collected(sample)

    samples = collected()
    for part in inspector.inspect(samples):
        workspace.add((waiting.popleft(), _candidate(inspector, found)) for found in part)
        advance(len(part))
    if waiting or next(samples, None) is not None:
        where = type(inspector).__module__
        raise CodeError(f"{where}: inspect left out samples of batch {batch.id}: it has to answer to each")
    workspace.close_collection(inspector.conflict)


def _collected(sample: Fetched) -> Collected | Refused:
    return Collected(sample.objects, sample.entry.label) if sample.missing is None else Refused(sample.missing)


def _check_columns(inspector: Inspector) -> None:
    names = inspector.columns
    if _ADDED & set(names) or len(set(names)) < len(names) or _CONTROL.search("".join(names)):
        raise CodeError(
            f"{type(inspector).__module__}: columns are named {', '.join(map(repr, names))}: each has to be there "
            "once, none may be label or split, and none may have a control character"
        )


def _candidate(inspector: Inspector, found: Inspected | Refused) -> Candidate | Refused:
    if isinstance(found, Refused):
        return found
    wanted = _FLOAT_BYTES * len(inspector.columns)
    if len(found.content) != _CONTENT_BYTES or len(found.statistics) != wanted:
        raise CodeError(
            f"{type(inspector).__module__}: a sample has a content of {len(found.content)} bytes and statistics of "
            f"{len(found.statistics)}: they have to be of {_CONTENT_BYTES}, and of {wanted}, a float32 for each column"
        )
    return Candidate(found.content, found.truth, found.stratum, found.classes, frame(found.example), found.statistics)


def _place(storage: Storage, settings: Settings, workspace: Workspace, local: Path) -> None:
    """Gives every content its split and remembers it; see :mod:`ml.spans.splits` for why this loops."""
    while True:
        entries = splits.entries(storage)
        workspace.forget_splits()
        for number in range(1, entries + 1):
            for contents in splits.read_entry(storage, number):
                workspace.place(contents)
        workspace.decide(settings.data.eval_share)
        newly = workspace.newly_placed()
        first = next(newly, None)
        if first is None or splits.append(storage, entries + 1, chain([first], newly), local):
            return


def _span(storage: Storage, batch: Batch, number: int, workspace: Workspace) -> Span:
    counts, sizes = workspace.count(), workspace.sizes()
    return Span(
        span=number,
        batch=batch.id,
        created=Claim.from_json(storage.read(layout.claim("spans", number))).since,  # the same on every retry
        classes=workspace.classes(),
        train=sizes[Split.TRAIN],
        eval=sizes[Split.EVAL],
        duplicates=counts.duplicates,
        refused=counts.refused,
    )


def _write(folder: Path, span: Span, workspace: Workspace, measured: Sequence[str], shard_samples: int) -> None:
    folder.mkdir()
    columns = {
        "label": f"<U{max(1, *map(len, workspace.strata()))}",
        "split": f"<U{max(len(split.value) for split in Split)}",
        **dict.fromkeys(measured, "<f4"),
    }
    with ColumnsWriter(folder / layout.SPAN_STATISTICS, columns, span.train + span.eval) as statistics:
        for split, count in ((Split.TRAIN, span.train), (Split.EVAL, span.eval)):
            framed = _framed(workspace.examples(split), count, split, measured, statistics)
            write_shards(framed, count, folder / split.value, shard_samples=shard_samples)
    encoder = msgspec.json.Encoder()
    with (
        (folder / layout.SPAN_SAMPLES).open("wb") as stream,
        gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=stream, mtime=0) as lines,
    ):
        for block in _blocks(workspace.fates()):
            lines.write(encoder.encode_lines(block))
    (folder / layout.SPAN).write_bytes(span.to_json())


def _framed(
    examples: Iterator[Example], count: int, split: Split, measured: Sequence[str], statistics: ColumnsWriter
) -> Iterator[bytes]:
    """The ``count`` examples for their files; their rows of statistics are written on the way, before the last one."""
    strata: list[str] = []
    rows: list[bytes] = []
    for number, example in enumerate(examples, 1):
        strata.append(example.stratum)
        rows.append(example.statistics)
        if number == count or len(rows) == _ROWS:
            named = {"label": strata, "split": [split.value] * len(strata)}
            statistics.write({**named, **float_columns(measured, rows)})
            strata, rows = [], []
        yield example.framed


def _blocks(items: Iterator[T]) -> Iterator[list[T]]:
    while block := list(islice(items, _ROWS)):
        yield block
