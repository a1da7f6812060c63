"""What a trained and exported segmenter answers, asked as a server would ask it."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform.beam as tft_beam
from PIL import Image
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from ml.kinds.both_loaders import ask as ask_both_loaders
from ml.kinds.images.decoding import image_sizes
from ml.kinds.images.encoded import decode_image
from ml.kinds.semantic_segmentation.exporting import masks_at_size
from ml.kinds.semantic_segmentation.masks import Ids, decode_mask
from ml.kinds.semantic_segmentation.serving import SegmentationServing
from ml.pipeline_modules import bind_pipeline
from ml.settings import Settings
from tests.ml.images.turned import encode, photograph

pytestmark = pytest.mark.slow

IDS = [10, 0, 77]
MODEL = {
    "classes": [{"id": number, "name": f"c{number}", "colour": "#123456"} for number in IDS],
    "image_size": 32,
}
MOST = 50_000_000


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def sample(number: int) -> tuple[bytes, bytes]:
    """A bright square (class 77) and a red one (class 10) on black (class 0), somewhere, with a stripe left open."""
    dice = np.random.default_rng(number)
    pixels, mask = np.zeros((40, 48, 3), np.uint8), np.zeros((40, 48), np.uint8)
    for colour, value, columns in (((255, 255, 255), 77, 0), ((255, 0, 0), 10, 24)):
        top, left = int(dice.integers(0, 24)), columns + int(dice.integers(0, 8))
        pixels[top : top + 16, left : left + 16] = colour
        mask[top : top + 16, left : left + 16] = value
    mask[:2] = 255
    return png(pixels), png(mask)


def example(image: bytes, mask: bytes) -> bytes:
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in (("image", image), ("mask", mask))
    }
    encoded: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    return encoded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel of the pipeline's own ``run_fn``, trained for seconds."""
    bind_pipeline("semantic_segmentation")
    from ml.pipelines.semantic_segmentation.model import run_fn
    from ml.pipelines.semantic_segmentation.preprocessing import preprocessing_fn

    place = tmp_path_factory.mktemp("segmenter")
    samples = [sample(number) for number in range(48)]
    for split, members in (("train", samples[:40]), ("eval", samples[40:])):
        with tf.io.TFRecordWriter(str(place / f"{split}.gz"), "GZIP") as writer:
            for image, mask in members:
                writer.write(example(image, mask))
    spec = {name: tf.io.FixedLenFeature([1], tf.string) for name in ("image", "mask")}
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    rows = [{"image": [image], "mask": [mask]} for image, mask in samples[:2]]
    with tft_beam.Context(temp_dir=str(place / "temporary")):
        graph = (rows, metadata) | tft_beam.AnalyzeDataset(lambda inputs: preprocessing_fn(inputs, {"model": MODEL}))
        _ = graph | tft_beam.WriteTransformFn(str(place / "transform"))
    run_fn(
        SimpleNamespace(
            train_files=[str(place / "train*")],
            eval_files=[str(place / "eval*")],
            transform_graph_path=str(place / "transform"),
            custom_config={
                "model": MODEL,
                "training": {"epochs": 15, "batch_size": 8, "learning_rate": 0.01},
            },
            hyperparameters=None,
            serving_model_dir=str(place / "model"),
        )
    )
    return place / "model"


def ask(folder: Path, images: list[bytes]) -> dict[str, Any]:
    answer = tf.saved_model.load(str(folder)).signatures["serving_default"](image_bytes=tf.constant(images))
    return {name: value.numpy() for name, value in answer.items()}


def masks(answer: dict[str, Any]) -> list[Ids]:
    return [decode_mask(mask, MOST) for mask in answer["mask_bytes"]]


def test_it_has_learnt_what_the_masks_say(folder: Path) -> None:
    fresh = [sample(number) for number in range(100, 120)]
    pairs = list(zip(masks(ask(folder, [image for image, _ in fresh])), fresh, strict=True))
    right = [(predicted == decode_mask(mask, MOST))[2:].mean() for predicted, (_, mask) in pairs]
    assert np.mean(right) > 0.9


def test_a_mask_has_the_image_s_own_size_whatever_that_is(folder: Path) -> None:
    dice = np.random.default_rng(0)
    sizes = [(1, 1), (1, 300), (5, 3), (32, 32), (33, 31), (240, 320)]
    images = [png(dice.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]
    images += [png(dice.integers(0, 256, (50, 70), dtype=np.uint8), "JPEG")]
    answered = masks(ask(folder, images))
    assert [mask.shape for mask in answered] == [*sizes, (50, 70)]
    assert {*np.concatenate([mask.reshape(-1) for mask in answered]).tolist()} <= set(IDS)


def test_a_photograph_of_12_megapixels_is_answered_at_its_size(folder: Path) -> None:
    large = np.zeros((3000, 4000, 3), np.uint8)
    large[600:2000, 500:1700] = 255
    [mask] = masks(ask(folder, [png(large, "JPEG")]))
    assert mask.shape == (3000, 4000)
    assert set(np.unique(mask).tolist()) <= set(IDS)


def test_shares_are_those_of_the_mask_in_the_order_of_the_classes(folder: Path) -> None:
    answer = ask(folder, [sample(number)[0] for number in range(200, 206)])
    for mask, shares in zip(masks(answer), answer["class_shares"], strict=True):
        np.testing.assert_allclose(shares, [(mask == number).mean() for number in IDS], atol=1e-6)
    assert ((answer["confidence"] > 1 / 3) & (answer["confidence"] <= 1)).all()


def test_examples_are_answered_like_their_images(folder: Path) -> None:
    samples = [sample(number) for number in range(300, 308)]
    images = ask(folder, [image for image, _ in samples])
    serve = tf.saved_model.load(str(folder)).signatures["serving_examples"]
    examples = serve(examples=tf.constant([example(image, mask) for image, mask in samples]))
    assert examples["mask_bytes"].numpy().tolist() == images["mask_bytes"].tolist()
    np.testing.assert_allclose(examples["class_shares"].numpy(), images["class_shares"])


def test_the_vocabulary_tells_names_and_ids_in_the_order_of_the_shares(folder: Path) -> None:
    vocabulary = tf.saved_model.load(str(folder)).signatures["vocabulary"]()
    assert [name.decode() for name in vocabulary["labels"].numpy()] == ["c10", "c0", "c77"]
    assert vocabulary["ids"].numpy().tolist() == IDS


def test_the_session_loader_answers_the_same(folder: Path) -> None:
    images = [sample(number)[0] for number in range(400, 408)]
    here = ask(folder, images)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], str(folder))
        signature = graph.signature_def["serving_default"]
        outputs = {name: tensor.name for name, tensor in signature.outputs.items()}
        there = session.run(outputs, {signature.inputs["image_bytes"].name: images})
    np.testing.assert_allclose(there["class_shares"], here["class_shares"], atol=1e-3)
    np.testing.assert_allclose(there["confidence"], here["confidence"], atol=1e-4)
    differ = [(one != other).mean() for one, other in zip(masks(here), masks(there), strict=True)]
    assert max(differ) < 1e-3


def test_the_likeliest_class_is_taken_after_interpolation() -> None:
    dice = np.random.default_rng(1)
    probabilities = tf.nn.softmax(dice.normal(size=(2, 8, 8, 3)).astype(np.float32))
    answer = masks_at_size(probabilities, tf.constant([[21, 13], [3, 50]]), tf.constant(IDS, tf.int64))
    for number, size in enumerate([(21, 13), (3, 50)]):
        whole = tf.image.resize(probabilities[number], size).numpy()
        mask = decode_mask(answer["mask_bytes"][number].numpy(), MOST)
        np.testing.assert_array_equal(mask, np.array(IDS)[whole.argmax(axis=-1)])
        np.testing.assert_allclose(answer["confidence"][number], whole.max(axis=-1).mean(), rtol=1e-5)


def test_sizes_come_from_the_headers() -> None:
    colour = np.zeros((20, 30, 3), np.uint8)
    batch = [png(colour), png(colour, "JPEG"), png(colour[..., 0]), png(colour, "GIF"), png(colour[:1, :1])]
    assert image_sizes(tf.constant(batch)).numpy().tolist() == [[20, 30]] * 4 + [[1, 1]]


def test_a_photograph_with_an_orientation_is_answered_as_the_upright_picture(folder: Path) -> None:
    upright = np.asarray(Image.open(io.BytesIO(sample(3)[0])))
    whole = ask(folder, [png(upright)])
    for kind in ("PNG", "JPEG"):
        files = [photograph(upright, orientation, kind) for orientation in range(1, 9)]
        pictures = [encode(decode_image(file, MOST)) for file in files]  # a JPEG changes the pixels a little
        turned, expected = ask(folder, files), ask(folder, pictures)
        assert turned["mask_bytes"].tolist() == expected["mask_bytes"].tolist()
        np.testing.assert_array_equal(turned["class_shares"], expected["class_shares"])
        assert {mask.shape for mask in masks(turned)} == {upright.shape[:2]}
        if kind == "PNG":
            assert set(turned["mask_bytes"]) == set(whole["mask_bytes"])


def test_a_photograph_with_an_orientation_is_answered_alike_in_both_loaders(folder: Path) -> None:
    upright = np.asarray(Image.open(io.BytesIO(sample(3)[0])))
    settings = Settings.model_validate({"name": "scenes", "kind": "semantic_segmentation"})
    files = [photograph(upright, orientation, "JPEG", ">") for orientation in (1, 6, 8)]
    outputs, _ = ask_both_loaders(str(folder), SegmentationServing(settings), files)
    assert [decode_mask(mask, MOST).shape for mask in outputs["mask_bytes"]] == [upright.shape[:2]] * 3
