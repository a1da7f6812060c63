"""What is in a span."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from ml import layout
from ml.kinds.images.encoded import content_hash, decode_image
from ml.storage import Storage

Draw = Callable[..., bytes]
FEATURES = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.string)}


def examples(storage: Storage, span: int, split: str) -> list[tuple[str, bytes]]:
    """(label, encoded image) of each example, in the files' order."""
    files = sorted(Path(storage.uri(layout.span(span, split))).iterdir())
    assert files, "a reader of the split expects a file"
    records = tf.data.TFRecordDataset([str(file) for file in files], compression_type="GZIP")
    parsed = [tf.io.parse_single_example(record, FEATURES) for record in records]
    return [(example["label"].numpy().decode(), example["image"].numpy()) for example in parsed]


def contents(storage: Storage, span: int, split: str) -> set[str]:
    return {content_hash(decode_image(image, 10**6)) for _, image in examples(storage, span, split)}


def files_of(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
