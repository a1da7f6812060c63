"""Spans as span preparation publishes them, but for the examples themselves."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections import Counter
from collections.abc import Mapping

import numpy as np

from ml import layout
from ml.records import ClassCount, SampleFate, Span, SpanSample, now
from ml.spans.truths import truth_digest
from ml.storage import Storage


def content(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def publish_span(storage: Storage, number: int, train: Mapping[str, str], evaluation: Mapping[str, str]) -> None:
    """A complete span of samples: what each shows → its label, in each split."""
    rows = [
        (label, split, name)
        for split, samples in (("train", train), ("eval", evaluation))
        for name, label in sorted(samples.items(), key=lambda item: content(item[0]))
    ]
    lines = [
        SpanSample(
            object=f"{label}/{name}-{number}.png",
            generation="1",
            fate=SampleFate(split),
            content=content(name),
            truth=truth_digest(label),
        ).model_dump_json()
        for label, split, name in rows
    ]
    storage.write(layout.span(number, layout.SPAN_SAMPLES), gzip.compress("\n".join(lines).encode()))
    columns = io.BytesIO()
    np.savez(
        columns,
        label=np.array([label for label, _, _ in rows]),
        split=np.array([split for _, split, _ in rows]),
        brightness=np.array([float(name) if name.isdecimal() else 0.0 for _, _, name in rows], np.float32),
    )
    storage.write(layout.span(number, layout.SPAN_STATISTICS), columns.getvalue())
    counts = {split: Counter(samples.values()) for split, samples in (("train", train), ("eval", evaluation))}
    span = Span(
        span=number,
        batch="test",
        created=now(),
        classes={
            label: ClassCount(train=counts["train"][label], eval=counts["eval"][label])
            for label in sorted({label for label, _, _ in rows})
        },
        train=len(train),
        eval=len(evaluation),
        duplicates=0,
        refused=0,
    )
    storage.write(layout.span(number, layout.SPAN), span.to_json())
