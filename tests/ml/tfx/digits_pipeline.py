"""Small pipelines of real images for these tests: scikit-learn's digits as PNG files, in spans as TFX reads them."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits

from ml import layout
from ml.home import pipeline_storage
from ml.records import SampleFate, Span, SpanSample, now
from ml.runs import start_run
from ml.tfx.node import LocalRun
from ml.tfx.running import local_run

PIPELINE = "image_classification"

#: Enough to learn digits, in seconds.
FAST = {"training.epochs": "8", "model.image_size": "16", "training.blessing_threshold": "0.6"}


def png(pixels: Image.Image) -> bytes:
    stream = io.BytesIO()
    pixels.save(stream, "PNG")
    return stream.getvalue()


def digits(start: int, stop: int) -> list[tuple[bytes, str]]:
    """(encoded image, label) of the digits from ``start`` to ``stop`` of 1,797; 16 × 16 pixels, grey."""
    bunch = load_digits()
    return [
        (png(Image.fromarray((bunch.images[i] * 15.9).astype("uint8")).resize((16, 16))), str(bunch.target[i]))
        for i in range(start, stop)
    ]


def example(image: bytes | None, label: str | None) -> bytes:
    """A serialized example; None leaves the feature out."""
    values = {"image": image, "label": label.encode() if label is not None else None}
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in values.items()
        if value is not None
    }
    whole = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(whole.SerializeToString(deterministic=True))  # spans are in the order of their contents


def write_span(
    number: int, train: Sequence[bytes], evaluation: Sequence[bytes], content: Callable[[bytes], bytes] = bytes
) -> None:
    """A complete span of serialized examples. ``content``: what two examples that show the same have in common."""
    storage = pipeline_storage(PIPELINE)
    lines: list[bytes] = []
    counts: dict[str, int] = {}
    for split, records in (("train", train), ("eval", evaluation)):
        by_content = {hashlib.sha256(content(record)).hexdigest(): record for record in records}
        file = Path(storage.uri(layout.span(number, f"{split}/data-00000-of-00001.tfrecord.gz")))
        file.parent.mkdir(parents=True, exist_ok=True)
        with tf.io.TFRecordWriter(str(file), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
            for key in sorted(by_content):
                writer.write(by_content[key])
        counts[split] = len(by_content)
        lines += [
            SpanSample(object=key, generation="1", fate=SampleFate(split), content=key).model_dump_json().encode()
            for key in by_content
        ]
    span = Span(
        span=number,
        batch="test",
        created=now(),
        classes={},
        **counts,
        duplicates=0,
        refused=0,
    )
    storage.write(layout.span(number, layout.SPAN_SAMPLES), gzip.compress(b"\n".join(lines), mtime=0))
    storage.write(layout.span(number, layout.SPAN), span.to_json())


def write_digits_span(number: int, start: int, stop: int) -> None:
    """A span of digits, every fourth in the eval split."""
    records = [example(image, label) for image, label in digits(start, stop)]
    write_span(number, [r for i, r in enumerate(records) if i % 4], records[::4])


def prepare(run_id: str, window: list[int] | None = None, **settings: str) -> LocalRun:
    """A run with :data:`FAST` settings and ``settings`` on top (``__`` for the dot in a key)."""
    changed = {key.replace("__", "."): value for key, value in settings.items()}
    run = start_run(PIPELINE, pipeline_storage(PIPELINE), run_id, window, FAST | changed)
    return local_run(run)


def run_all(run: LocalRun) -> dict[str, str]:
    """Runs every node in order: node id → "succeeded" or "cached"."""
    return {node: run.run_node(node).state for node in run.nodes}
