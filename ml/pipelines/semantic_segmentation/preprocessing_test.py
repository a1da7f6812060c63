"""``preprocessing_fn`` on a handful of examples in memory."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ml.kinds.semantic_segmentation.decoding import decode_masks
from ml.pipelines.semantic_segmentation.preprocessing import preprocessing_fn


def encode(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def config(size: int, *ids: int) -> dict[str, Any]:
    return {"model": {"image_size": size, "classes": [{"id": number} for number in ids]}}


def preprocess(images: list[bytes], masks: list[bytes], *ids: int, size: int = 8) -> tuple[np.ndarray, np.ndarray]:
    inputs = {"image": tf.constant(images)[:, None], "mask": tf.constant(masks)[:, None]}
    outputs = preprocessing_fn(inputs, config(size, *ids))
    return outputs["image"].numpy(), outputs["mask"].numpy()


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (8, 8), (9, 50), (120, 90)])
def test_images_and_masks_of_any_size_become_one_size(shape: tuple[int, int]) -> None:
    dice = np.random.default_rng(0)
    image, mask = dice.integers(0, 256, (*shape, 3), dtype=np.uint8), dice.choice(np.array([3, 9], np.uint8), shape)
    images, masks = preprocess([encode(image), encode(image, "JPEG")], [encode(mask)] * 2, 3, 9)
    assert (images.shape, str(images.dtype)) == ((2, 8, 8, 3), "float32")
    assert (masks.shape, str(masks.dtype)) == ((2, 8, 8), "int64")


def test_ids_become_positions_in_the_settings_and_all_other_values_are_ignored() -> None:
    mask = np.array([[200, 0], [7, 255]], np.uint8)
    decoded = decode_masks(tf.constant([encode(mask)]), 2, [7, 200]).numpy()
    np.testing.assert_array_equal(decoded, [[[1, -1], [0, -1]]])


def test_prior_art_12_no_class_is_made_up_by_resizing() -> None:
    """Between 2 and 8 lie ids of other classes, which an interpolated mask would show along every border."""
    dice = np.random.default_rng(1)
    masks = [encode(dice.choice(np.array([2, 8], np.uint8), (side, side + 3))) for side in (5, 13, 64, 211)]
    decoded = decode_masks(tf.constant(masks), 32, list(range(10))).numpy()
    assert set(np.unique(decoded).tolist()) == {2, 8}


@pytest.mark.parametrize("side", [16, 24, 64, 160])
def test_an_image_and_its_mask_stay_on_top_of_each_other(side: int) -> None:
    mask = np.zeros((side, side), np.uint8)
    mask[side // 4 : side // 2, side // 2 :] = 1
    images, masks = preprocess([encode(mask * 255)], [encode(mask)], 0, 1, size=32)
    np.testing.assert_array_equal(images[0, ..., 0] > 127, masks[0] == 1)
