"""Notes in an inbox, and a released model that measures them."""

from __future__ import annotations

import json
from pathlib import Path

import tensorflow as tf

from ml import layout, releases
from ml.freezing import freeze
from ml.records import ReleaseRecord, now
from ml.settings import load_settings
from ml.storage import Storage, open_storage

PIPELINES = Path(__file__).with_name("pipelines")


class Measuring(tf.Module):
    """``note`` string[N] → ``size`` int32[N], in bytes, and ``together`` int32[N], N. Refuses a call with a note that
    asks for it."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])  # type: ignore[untyped-decorator,unused-ignore]
    def serve(self, note: tf.Tensor) -> dict[str, tf.Tensor]:
        asks = tf.reduce_any(tf.strings.regex_full_match(note, ".*refuse me.*"))
        with tf.control_dependencies([tf.debugging.Assert(~asks, ["as was asked"])]):
            return {"size": tf.strings.length(note), "together": tf.fill(tf.shape(note), tf.size(note))}


class Desk:
    """The storage of the pipeline ``notes``; RESPAN_PIPELINES has to name :data:`PIPELINES`."""

    def __init__(self, folder: Path, pipeline: str = "notes") -> None:
        self.storage: Storage = open_storage(f"file://{folder}").child(pipeline)
        self.settings = load_settings(pipeline)

    def write(self, name: str, text: str, *tags: str) -> None:
        self.storage.write(layout.inbox(f"{name}.json"), json.dumps({"text": text, "tags": tags}).encode())

    def freeze(self) -> str:
        return freeze(self.storage, self.settings, "run").id

    def release(self) -> None:
        model = Measuring()
        tf.saved_model.save(model, self.storage.uri(layout.model(1)), signatures={"serving_default": model.serve})
        record = ReleaseRecord(version=1, run="run", window=[1], created=now(), metrics={}, classes=[], code="0")
        releases.record_release(self.storage, record)
        releases.serve(self.storage, 1, "test")
