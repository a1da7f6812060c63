"""(d) Span preparation against reading and writing one by one, on disk and where each request takes 20 ms.

The peer is what the prior art does: ``tf.io.read_file`` for one file after the other, a ``tf.train.Example`` each, one
uncompressed TFRecord file. It checks nothing, splits nothing, and drops no duplicates.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from benchmarks.pictures import digits, write_inbox
from benchmarks.result import Result
from ml import layout
from ml.freezing import freeze
from ml.settings import Settings
from ml.spans.preparation import prepare
from ml.storage import ObjectInfo, Storage, open_storage

IMAGES = 10_000
ROUNDS = 5
SLOW_IMAGES = 1_000
SLOW_ROUNDS = 3
REQUEST_SECONDS = 0.020


class SlowStorage:
    """A storage whose every request takes 20 ms longer, as one in another building does."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def child(self, prefix: str) -> SlowStorage:
        return SlowStorage(self._storage.child(prefix))

    def uri(self, name: str = "") -> str:
        return self._storage.uri(name)

    @property
    def root(self) -> str:
        return self._storage.root

    def list(self, prefix: str = "", *, without: Collection[str] = ()) -> Iterator[ObjectInfo]:
        time.sleep(REQUEST_SECONDS)
        yield from self._storage.list(prefix, without=without)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._storage, name)

        def delayed(*arguments: Any, **options: Any) -> Any:
            time.sleep(REQUEST_SECONDS)
            return method(*arguments, **options)

        return delayed


def measure() -> Iterator[Result]:
    """Both results, in images per second."""
    yield _measure("span preparation on disk", IMAGES, ROUNDS, slow=False, bound=">= 1.5")
    yield _measure("span preparation with 20 ms per request", SLOW_IMAGES, SLOW_ROUNDS, slow=True, bound=">= 10")


def _measure(name: str, count: int, rounds: int, *, slow: bool, bound: str) -> Result:
    settings = Settings(name="benchmark", kind="image_classification")
    images, labels = digits(count)
    ours, peer = [], []
    with tempfile.TemporaryDirectory(prefix="respan-bench-") as folder:
        storage = open_storage(f"file://{folder}/storage").child("benchmark")
        files = write_inbox(Path(storage.uri(layout.INBOX)), images, labels)
        batch = freeze(storage, settings, "benchmark").id
        _write_one_by_one(files[:100], Path(folder) / "peer.tfrecord")  # both start warm
        _prepare(storage, settings, batch)
        for _ in range(rounds):
            os.sync()  # neither waits for what the other left to be written
            seconds = time.perf_counter()
            _write_one_by_one(files, Path(folder) / "peer.tfrecord", REQUEST_SECONDS if slow else 0)
            peer.append(count / (time.perf_counter() - seconds))
            _forget_span(storage)
            os.sync()
            seconds = time.perf_counter()
            _prepare(SlowStorage(storage) if slow else storage, settings, batch)
            ours.append(count / (time.perf_counter() - seconds))
    ratios = [one / other for one, other in zip(ours, peer, strict=True)]
    return Result(
        name=name,
        ours=statistics.median(ours),
        peer=statistics.median(peer),
        ratio=statistics.median(ratios),
        unit="images/s",
        bound=bound,
        detail={"images": count, "ratios": ratios, "ours": ours, "peer": peer},
    )


def _prepare(storage: Storage, settings: Settings, batch: str) -> None:
    span = prepare(storage, settings, batch)
    if span.refused or span.duplicates:
        raise AssertionError(f"the benchmark's images are all sound and distinct, and the span says: {span}")


def _forget_span(storage: Storage) -> None:
    for prefix in (layout.SPANS, layout.SPLITS, "claims"):
        storage.delete_tree(prefix)


def _write_one_by_one(files: list[Path], target: Path, request_seconds: float = 0) -> None:
    import tensorflow as tf

    def feature(value: bytes) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    with tf.io.TFRecordWriter(str(target)) as writer:
        for file in files:
            if request_seconds:
                time.sleep(request_seconds)
            image = tf.io.read_file(str(file)).numpy()
            features = {"image": feature(image), "label": feature(file.parent.name.encode())}
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
