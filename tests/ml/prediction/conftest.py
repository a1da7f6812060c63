from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ml import layout, releases
from ml.freezing import freeze
from ml.kinds.images.decoding import decode_images
from ml.records import ReleaseRecord, now
from ml.settings import Settings
from ml.settings_sections import DataSettings
from ml.storage import Storage, open_storage

CLASSES = ["bright", "dark"]


def picture(brightness: int, side: int = 8, kind: str = "PNG") -> bytes:
    """A grey square, encoded."""
    out = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), brightness, np.uint8)).save(out, kind)
    return out.getvalue()


def export_model(folder: str, *, reversed_answer: bool = False) -> None:
    """A SavedModel with a release's signature that tells bright pictures from dark ones."""
    images = keras.Input((8, 8, 3))
    share = keras.layers.Lambda(lambda pixels: tf.reduce_mean(pixels, axis=[1, 2, 3])[:, None] / 255)(images)
    parts = [1 - share, share] if reversed_answer else [share, 1 - share]
    model = keras.Model(images, keras.layers.Concatenate()(parts))
    archive = keras.export.ExportArchive()
    archive.track(model)

    def serving_default(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = model(decode_images(image_bytes, 8))
        label = tf.gather(tf.constant(CLASSES), tf.argmax(probabilities, axis=1))
        return {"label": label, "probabilities": probabilities}

    signature = [tf.TensorSpec([None], tf.string, name="image_bytes")]
    archive.add_endpoint("serving_default", serving_default, input_signature=signature)
    archive.write_out(folder, verbose=False)


class Released:
    """A pipeline's storage with releases 1 (serving) and 2 (which answers the opposite), and an inbox."""

    def __init__(self, folder: Path, pipeline: str = "light") -> None:
        self.storage: Storage = open_storage(f"file://{folder}").child(pipeline)
        self.settings = Settings(name=pipeline, kind="image_classification", data=DataSettings(max_refused_share=0.5))
        self.folder = Path(self.storage.uri(layout.INBOX))

    def release(self, version: int) -> None:
        export_model(self.storage.uri(layout.model(version)), reversed_answer=version == 2)
        record = ReleaseRecord(
            version=version, run=f"run-{version}", window=[1], created=now(), metrics={}, classes=CLASSES, code="0"
        )
        releases.record_release(self.storage, record)

    def serve(self, version: int) -> None:
        releases.serve(self.storage, version, "test")

    def drop(self, name: str, content: bytes) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def freeze(self, run: str = "run") -> str:
        return freeze(self.storage, self.settings, run).id


@pytest.fixture
def released(tmp_path: Path) -> Released:
    place = Released(tmp_path / "storage")
    place.release(1)
    place.serve(1)
    return place


@pytest.fixture
def released_pipeline(respan_home: Path) -> Released:
    """The same where the command line finds it, as the project's own pipeline."""
    place = Released(respan_home / "storage", "image_classification")
    place.release(1)
    place.serve(1)
    return place


@pytest.fixture
def unreleased(tmp_path: Path) -> Released:
    return Released(tmp_path / "storage")


@pytest.fixture
def draw() -> Callable[..., bytes]:
    return picture
