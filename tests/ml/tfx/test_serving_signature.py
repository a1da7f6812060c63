"""What the exported model answers, asked as a server would ask it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ml.home import pipeline_storage
from ml.kinds.images.encoded import decode_image
from ml.runs import read_run
from ml.tfx.outcome import run_outcome
from tests.ml.images.turned import encode as encoded_again
from tests.ml.images.turned import photograph
from tests.ml.tfx.digits_pipeline import PIPELINE, digits, example

pytestmark = pytest.mark.slow


@pytest.fixture
def model(trained: Path) -> tf.Module:
    storage = pipeline_storage(PIPELINE)
    return tf.saved_model.load(run_outcome(PIPELINE, storage, read_run(storage, "first").run).pushed)


def encode(image: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return stream.getvalue()


def test_sizes_formats_and_colours_mix_in_one_batch(model: tf.Module) -> None:
    original, label = digits(0, 1)[0]
    grey = Image.open(io.BytesIO(original))
    variants = [
        encode(grey, "PNG"),
        encode(grey.resize((64, 64), Image.Resampling.BILINEAR), "PNG"),
        encode(grey.convert("RGB"), "JPEG"),
        encode(grey.convert("RGBA"), "PNG"),
        encode(grey.resize((40, 40)), "JPEG"),
    ]
    answer = model.signatures["serving_default"](image_bytes=tf.constant(variants))
    assert [value.decode() for value in answer["label"].numpy()] == [label] * len(variants)
    assert answer["probabilities"].shape == (5, 10)
    np.testing.assert_allclose(answer["probabilities"].numpy().sum(axis=1), 1, atol=1e-5)


def test_a_photograph_with_an_orientation_is_answered_as_the_upright_picture(model: tf.Module) -> None:
    upright = np.asarray(Image.open(io.BytesIO(digits(0, 1)[0][0])).convert("RGB").resize((24, 36)))
    for kind in ("PNG", "JPEG"):
        files = [photograph(upright, orientation, kind) for orientation in range(1, 9)]
        pictures = [encoded_again(decode_image(file, 10_000)) for file in files]  # a JPEG changes the pixels a little
        answers = model.signatures["serving_default"](image_bytes=tf.constant(files + pictures))
        turned, expected = np.split(answers["probabilities"].numpy(), 2)
        np.testing.assert_array_equal(turned, expected)


def test_examples_are_answered_like_their_images(model: tf.Module) -> None:
    samples = digits(0, 8)
    images = model.signatures["serving_default"](image_bytes=tf.constant([image for image, _ in samples]))
    records = tf.constant([example(image, label) for image, label in samples])
    examples = model.signatures["serving_examples"](examples=records)
    np.testing.assert_allclose(images["probabilities"].numpy(), examples["probabilities"].numpy(), atol=1e-6)


def test_labels_become_the_indices_of_the_vocabulary_and_unknown_ones_minus_one(model: tf.Module) -> None:
    vocabulary = [label.decode() for label in model.signatures["vocabulary"]()["labels"].numpy()]
    records = tf.constant([example(b"", label) for label in ("7", "3", "unheard of")])
    indices = model.signatures["transform_labels"](examples=records)["label_index"].numpy()
    assert indices.tolist() == [vocabulary.index("7"), vocabulary.index("3"), -1]
