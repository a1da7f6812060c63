"""What a published span tells of itself. Light."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

from ml import layout
from ml.errors import NotFoundError
from ml.records import Span, SpanSample
from ml.storage import Storage
from ml.windows import complete_spans


def read_span(storage: Storage, number: int) -> Span:
    """The record of a complete span. Raises ``NotFoundError`` naming those that there are."""
    try:
        return Span.from_json(storage.read(layout.span(number, layout.SPAN)))
    except NotFoundError:
        known = ", ".join(map(str, complete_spans(storage)[-10:])) or "none"
        raise NotFoundError(f"there is no complete span {number} in {storage.root}; found: {known}") from None


def list_spans(storage: Storage) -> list[Span]:
    """Every complete span, in the order of their numbers."""
    return [read_span(storage, number) for number in complete_spans(storage)]


def read_samples(storage: Storage, number: int) -> Iterator[SpanSample]:
    """What became of each sample of the span's batch, in the manifest's order, streamed."""
    with storage.open(layout.span(number, layout.SPAN_SAMPLES)) as stream, gzip.open(stream) as lines:
        for line in lines:
            yield SpanSample.model_validate_json(line)
