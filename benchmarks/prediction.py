"""(c) Batch prediction against ``model.predict`` on decoded arrays in memory, for the same Keras model.

Ours reads the manifest and 10,000 PNG files, checks each against its checksum, decodes, calls the exported signature,
and publishes a line of JSON for each; the peer has its inputs decoded, in memory, in one array.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.pictures import SIDE, digits, write_inbox
from benchmarks.result import Result
from ml import layout, releases
from ml.freezing import freeze
from ml.prediction.batch import predict
from ml.prediction.documents import forget_predictions
from ml.records import ReleaseRecord, now
from ml.settings import Settings
from ml.storage import Storage, open_storage

IMAGES = 10_000
ROUNDS = 5
BATCH = 256


def measure() -> Iterator[Result]:
    """The one result, in images per second."""
    settings = Settings(name="benchmark", kind="image_classification")
    images, labels = digits(IMAGES)
    classes = sorted(set(labels))
    arrays = images.astype("float32")
    ours, peer = [], []
    with tempfile.TemporaryDirectory(prefix="respan-bench-") as folder:
        storage = open_storage(f"file://{folder}/storage").child("benchmark")
        write_inbox(Path(storage.uri(layout.INBOX)), images, labels)
        batch = freeze(storage, settings, "benchmark").id
        model = _release(storage, classes)
        model.predict(arrays[:BATCH], batch_size=BATCH, verbose=0)  # both start warm
        _predict(storage, settings, batch)
        for _ in range(ROUNDS):
            seconds = time.perf_counter()
            model.predict(arrays, batch_size=BATCH, verbose=0)
            peer.append(IMAGES / (time.perf_counter() - seconds))
            seconds = time.perf_counter()
            _predict(storage, settings, batch)
            ours.append(IMAGES / (time.perf_counter() - seconds))
    ratios = [one / other for one, other in zip(ours, peer, strict=True)]
    yield Result(
        name="batch prediction against model.predict in memory",
        ours=statistics.median(ours),
        peer=statistics.median(peer),
        ratio=statistics.median(ratios),
        unit="images/s",
        bound=">= 0.7",
        detail={"images": IMAGES, "batch": BATCH, "ratios": ratios, "ours": ours, "peer": peer},
    )


def _predict(storage: Storage, settings: Settings, batch: str) -> None:
    forget_predictions(storage, batch)
    made = predict(storage, settings, batch)
    if made.predicted != IMAGES:
        raise AssertionError(f"the benchmark's images are all sound, and the predictions say: {made}")


def _release(storage: Storage, classes: list[str]) -> Any:
    """Releases the default small CNN, untrained: answers take as long as a trained one's."""
    import keras
    import tensorflow as tf

    from ml.kinds.images.decoding import decode_images
    from ml.pipelines.image_classification.model import build_model
    from ml.pipelines.image_classification.settings import ModelSettings

    keras.utils.set_random_seed(20)
    model = build_model(ModelSettings(image_size=SIDE), len(classes), learning_rate=1e-3, steps=1)
    archive = keras.export.ExportArchive()
    archive.track(model)

    def serving_default(image_bytes: Any) -> dict[str, Any]:
        probabilities = model(decode_images(image_bytes, SIDE), training=False)
        label = tf.gather(tf.constant(classes), tf.argmax(probabilities, axis=1))
        return {"label": label, "probabilities": probabilities}

    signature = [tf.TensorSpec([None], tf.string, name="image_bytes")]
    archive.add_endpoint("serving_default", serving_default, input_signature=signature)
    archive.write_out(storage.uri(layout.model(1)), verbose=False)
    record = ReleaseRecord(version=1, run="benchmark", window=[1], created=now(), metrics={}, classes=classes, code="0")
    releases.record_release(storage, record)
    releases.serve(storage, 1, "benchmark")
    return model
