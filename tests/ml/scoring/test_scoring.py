"""A released model on a folder of one's own, with a model simple enough to know its answers: is the picture bright?"""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf
from PIL import Image

from ml import releases
from ml.errors import DataError, NotFoundError
from ml.records import ReleaseRecord, now
from ml.scoring import score_folder
from ml.settings import Settings
from ml.storage import Storage, open_storage

SETTINGS = Settings(name="brightness", kind="image_classification")


class Brightness(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])  # type: ignore[untyped-decorator,unused-ignore]
    def serve(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        def mean(image: tf.Tensor) -> tf.Tensor:
            pixels = tf.io.decode_image(image, channels=3, expand_animations=False)
            return tf.reduce_mean(tf.cast(pixels, tf.float32)) / 255

        bright = tf.map_fn(mean, image_bytes, fn_output_signature=tf.float32)
        label = tf.where(bright > 0.5, "bright", "dark")
        return {"label": label, "probabilities": tf.stack([bright, 1 - bright], axis=1)}


@pytest.fixture
def released(tmp_path: Path) -> Storage:
    """A storage whose version 1 serves."""
    storage = open_storage(f"file://{tmp_path / 'storage'}").child("brightness")
    model = Brightness()
    tf.saved_model.save(model, storage.uri("models/1"), signatures={"serving_default": model.serve})
    record = ReleaseRecord(
        version=1, run="run", window=[1], created=now(), metrics={}, classes=["bright", "dark"], code="0"
    )
    releases.record_release(storage, record)
    releases.serve(storage, 1, "the first one")
    return storage


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three bright pictures, of which one is labelled dark, a dark one, and a file that is no picture."""
    for name, grey in {"bright/a.png": 255, "bright/b.jpg": 200, "dark/c.png": 180, "dark/d.png": 10}.items():
        file = tmp_path / "mine" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), grey).save(file)
    return tmp_path / "mine"


def test_accuracy_is_the_share_of_right_answers(released: Storage, folder: Path) -> None:
    score = score_folder(released, SETTINGS, folder)
    assert (score.version, score.samples, score.failed, score.metric) == (1, 4, 0, "accuracy")
    assert score.value == 0.75
    assert score.interval.low < 0.75 < score.interval.high


def test_a_picture_that_cannot_be_read_counts_as_wrong(released: Storage, folder: Path) -> None:
    (folder / "dark" / "e.png").write_bytes(b"no picture")
    score = score_folder(released, SETTINGS, folder)
    assert (score.samples, score.failed) == (5, 1)
    assert score.value == 0.6


def test_files_that_are_no_samples_are_skipped_and_counted(released: Storage, folder: Path) -> None:
    (folder / "notes.txt").write_text("not mine")
    score = score_folder(released, SETTINGS, folder)
    assert (score.samples, score.skipped) == (4, 1)


def test_hidden_files_in_the_folder_are_ignored_and_counted(released: Storage, folder: Path) -> None:
    (folder / "dark" / "._d.png").write_bytes(b"a fork of d.png, by macOS")
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    score = score_folder(released, SETTINGS, folder)
    assert (score.samples, score.failed, score.skipped, score.ignored) == (4, 0, 0, 2)


def test_scoring_changes_nothing(released: Storage, folder: Path) -> None:
    before = sorted((info.name, info.generation) for info in released.list())
    score_folder(released, SETTINGS, folder, 1)
    assert sorted((info.name, info.generation) for info in released.list()) == before
    assert len(list(folder.glob("*/*"))) == 4


def test_a_missing_version_folder_or_sample_is_told(released: Storage, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match="2"):
        score_folder(released, SETTINGS, folder, 2)
    with pytest.raises(NotFoundError, match="there is no folder"):
        score_folder(released, SETTINGS, tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no sample"):
        score_folder(released, SETTINGS, tmp_path / "empty")
    with pytest.raises(NotFoundError, match="has no release yet"):
        score_folder(released.child("another"), SETTINGS, folder)
