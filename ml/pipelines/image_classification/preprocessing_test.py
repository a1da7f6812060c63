"""``preprocessing_fn`` through TensorFlow Transform itself, on a handful of examples in memory."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform.beam as tft_beam
from PIL import Image
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from ml.kinds.images.decoding import decode_images
from ml.pipeline_modules import bind_pipeline


def encode(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def grey(value: int, height: int, width: int) -> np.ndarray:
    return np.full((height, width), value, np.uint8)


@pytest.mark.slow
def test_labels_become_a_vocabulary_by_frequency_and_images_one_size(tmp_path: Path) -> None:
    bind_pipeline("image_classification")
    from ml.pipelines.image_classification.preprocessing import preprocessing_fn

    labels = ["b", "a", "c", "b", "b", "a"]
    rows = [{"image": [encode(grey(40 * i, 5 + i, 9))], "label": [label.encode()]} for i, label in enumerate(labels)]
    spec = {name: tf.io.FixedLenFeature([1], tf.string) for name in ("image", "label")}
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    config: dict[str, Any] = {"model": {"image_size": 8}}
    with tft_beam.Context(temp_dir=str(tmp_path)):
        (transformed, _), _ = (rows, metadata) | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: preprocessing_fn(inputs, config)
        )
    assert [int(row["label_index"]) for row in transformed] == [0, 1, 2, 0, 0, 1]
    assert {np.shape(row["image"]) for row in transformed} == {(8, 8, 3)}
    assert [np.unique(row["image"]).tolist() for row in transformed] == [[40.0 * i] for i in range(6)]


def test_sizes_formats_and_colours_mix_in_one_batch() -> None:
    colour = np.zeros((20, 30, 3), np.uint8)
    colour[..., 0] = 200
    transparent = np.dstack([colour, np.full((20, 30), 7, np.uint8)])
    batch = [encode(grey(100, 3, 4)), encode(colour), encode(colour, "JPEG"), encode(transparent)]
    decoded = decode_images(tf.constant(batch), 16).numpy()
    assert decoded.shape == (4, 16, 16, 3)
    np.testing.assert_array_equal(decoded[0], 100)
    np.testing.assert_array_equal(decoded[1, ..., 0], 200)
    np.testing.assert_array_equal(decoded[3], decoded[1])
    np.testing.assert_allclose(decoded[2], decoded[1], atol=3)


def test_values_are_whole_numbers_from_0_to_255() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 37, 3), dtype=np.uint8)
    decoded = decode_images(tf.constant([encode(noise), encode(noise[:9, :9])]), 24).numpy()
    assert decoded.min() >= 0
    assert decoded.max() <= 255
    np.testing.assert_array_equal(decoded, np.round(decoded))


def test_a_shrunk_checkerboard_is_grey_and_not_an_alias() -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    decoded = decode_images(tf.constant([encode(board)]), 8).numpy()
    np.testing.assert_allclose(decoded[:, 1:-1, 1:-1], 127.5, atol=4)


def test_an_image_that_can_not_be_decoded_fails() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_images(tf.constant([encode(grey(1, 4, 4)), b"not an image"]), 8)
