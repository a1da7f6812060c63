"""The model and how it trains, without a TFX pipeline around it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from ml.errors import SettingsError
from ml.kinds.semantic_segmentation.augmentation import augment
from ml.kinds.semantic_segmentation.encoders import image_encoder
from ml.kinds.semantic_segmentation.losses import IGNORED, SegmentationLoss
from ml.kinds.semantic_segmentation.training import mean_iou
from ml.pipeline_modules import bind_pipeline
from ml.pipelines.semantic_segmentation.settings import ModelSettings

CLASSES = [{"id": number, "name": f"class {number}", "colour": "#00ff00"} for number in (0, 4, 9)]


@pytest.fixture
def model_module() -> ModuleType:
    bind_pipeline("semantic_segmentation")
    from ml.pipelines.semantic_segmentation import model

    return model


def settings(**choices: Any) -> ModelSettings:
    return ModelSettings(**{"classes": CLASSES, "image_size": 32, **choices})


def noise(count: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3)).astype(np.float32)


def some_masks(count: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, 3, (count, size, size)).astype(np.int32)


@pytest.mark.parametrize(
    ("encoder", "size"), [("small", 32), ("small", 80), pytest.param("MobileNetV2", 64, marks=pytest.mark.slow)]
)
def test_every_pixel_gets_a_logit_of_each_class(model_module: ModuleType, encoder: str, size: int) -> None:
    model = model_module.build_model(settings(encoder=encoder, image_size=size), 1e-3, 10)
    assert model(noise(2, size), training=False).shape == (2, size, size, 3)


@pytest.mark.slow
def test_mobilenetv2_s_levels_halve_the_image_five_times() -> None:
    encoder = image_encoder("MobileNetV2", size=96, weights="none", fine_tune=False)
    assert [level.shape[1:] for level in encoder.levels] == [
        (48, 48, 96),
        (24, 24, 144),
        (12, 12, 192),
        (6, 6, 576),
        (3, 3, 320),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("fine_tune", [False, True], ids=["frozen", "fine-tuned"])
def test_loaded_weights_stay_as_they_are_unless_they_are_fine_tuned(
    model_module: ModuleType, tmp_path: Path, fine_tune: bool
) -> None:
    body = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    body.save_weights(file := str(tmp_path / "own.weights.h5"))
    own = {variable.path: np.asarray(variable) for variable in body.get_layer("block_13_expand").weights}
    own |= {variable.path: np.asarray(variable) for variable in body.get_layer("block_13_expand_BN").weights}
    model = model_module.build_model(settings(encoder="MobileNetV2", weights=file, fine_tune=fine_tune), 1e-2, 10)

    def encoder_s() -> dict[str, np.ndarray]:
        return {variable.path: np.asarray(variable) for variable in model.variables if variable.path in own}

    for path, value in encoder_s().items():
        np.testing.assert_array_equal(value, own[path])
    assert encoder_s().keys() == own.keys()
    decoder = model.get_layer("logits").get_weights()[0]
    model.run_eagerly = True  # a graph of all this would take longer to make than to run once
    model.fit(noise(4, 32), some_masks(4, 32), batch_size=4, verbose=0)
    changed = [not np.array_equal(value, own[path]) for path, value in encoder_s().items()]
    assert all(changed) if fine_tune else not any(changed), "batch normalisation's statistics are weights, too"
    assert not np.array_equal(decoder, model.get_layer("logits").get_weights()[0])


@pytest.mark.slow
def test_a_weights_file_of_another_model_is_refused_by_key(tmp_path: Path) -> None:
    other = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(32, 32, 3))
    other.save_weights(file := str(tmp_path / "other.weights.h5"))
    with pytest.raises(SettingsError, match=r"model\.encoder MobileNetV2 with image_size 32 and weights") as raised:
        image_encoder("MobileNetV2", size=32, weights=file, fine_tune=False)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"encoder": "ResNet50"}, "allowed: small, MobileNetV2"),
        ({"weights": "imagenet"}, "the encoder small takes none"),
        ({"image_size": 40}, "needs a multiple of 16"),
        ({"encoder": "MobileNetV2", "image_size": 48}, "needs a multiple of 32"),
        ({"classes": CLASSES[:1]}, "at least 2 items"),
        ({"classes": [*CLASSES, CLASSES[1]]}, "two classes have the id 4"),
        ({"classes": [*CLASSES, {**CLASSES[1], "id": 5}]}, "two classes have the name 'class 4'"),
        ({"ignore_index": 9}, "it is the id of the class class 9"),
    ],
)
def test_what_can_not_be_is_refused_with_the_settings(choices: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        settings(**choices)


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"name": "ResNet50"}, "model.encoder is 'ResNet50'; allowed: small, MobileNetV2"),
        ({"size": 40}, "model.image_size is 40: the encoder MobileNetV2 needs a multiple of 32"),
        ({"weights": "/nowhere/weights.h5"}, "/nowhere/weights.h5"),
        ({"name": "small", "weights": "imagenet"}, "model.weights is 'imagenet', and the encoder small has none"),
    ],
)
def test_what_an_encoder_can_not_do_is_told_by_key(choices: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told) as raised:
        image_encoder(**{"name": "MobileNetV2", "size": 32, "weights": "none", "fine_tune": False, **choices})
    assert "\n" not in str(raised.value)


def test_ignored_pixels_change_neither_loss_nor_gradient() -> None:
    masks = some_masks(2, 8)
    logits = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)
    changed = np.where((masks == IGNORED)[..., None], -7 * logits + 3, logits)
    losses, gradients = [], []
    for given in (logits, changed):
        variable = tf.Variable(given)
        with tf.GradientTape() as tape:
            loss = SegmentationLoss()(masks, variable)
        losses.append(float(loss))
        gradients.append(tape.gradient(loss, variable).numpy())
    assert (masks == IGNORED).any()
    assert losses[0] == losses[1] > 0
    np.testing.assert_array_equal(gradients[0], gradients[1])
    assert not gradients[0][masks == IGNORED].any()
    assert gradients[0][masks != IGNORED].any(axis=-1).all()


def test_a_batch_without_a_label_has_no_loss_and_no_gradient() -> None:
    variable = tf.Variable(np.ones((1, 4, 4, 3), np.float32))
    with tf.GradientTape() as tape:
        loss = SegmentationLoss()(np.full((1, 4, 4), IGNORED), variable)
    assert float(loss) == 0
    assert not tape.gradient(loss, variable).numpy().any()


def test_what_is_right_costs_next_to_nothing_and_what_is_wrong_more_the_rarer_its_class() -> None:
    masks = np.zeros((1, 8, 8), np.int32)
    masks[0, 0] = 1
    right = np.eye(3, dtype=np.float32)[masks] * 20
    wrong_large, wrong_small = right.copy(), right.copy()
    wrong_large[0, 7, 0] = (0, 20, 0)
    wrong_small[0, 0, 0] = (20, 0, 0)
    loss = SegmentationLoss()
    assert float(loss(masks, right)) < 1e-5
    assert float(loss(masks, wrong_small)) > float(loss(masks, wrong_large)) > 0.1


def test_the_metric_leaves_ignored_pixels_and_absent_classes_out() -> None:
    metric = mean_iou(3)
    logits = np.eye(3, dtype=np.float32)[[[0, 0], [1, 1]]][None]
    metric.update_state(np.array([[[0, 0], [0, IGNORED]]]), logits)
    assert float(metric.result()) == pytest.approx((2 / 3 + 0) / 2)


def test_image_and_mask_are_moved_alike() -> None:
    """A mask that is drawn into its own image is found there again, up to the pixels of its border."""
    masks = np.zeros((16, 48, 48), np.int32)
    masks[:, 8:26, 14:40] = 1
    images = np.repeat(masks[..., None] * 255.0, 3, axis=-1).astype(np.float32)
    wide = settings(max_shift=0.2, max_rotation=0.5, max_contrast=0, flip="horizontal_and_vertical")
    moved, moved_masks = (part.numpy() for part in augment(images, masks, tf.constant([1, 2], tf.int64), wide))
    seen = (moved_masks != IGNORED) & (np.abs(moved[..., 0] - 127.5) > 126)
    assert seen.mean() > 0.6
    np.testing.assert_array_equal((moved[..., 0] > 127)[seen], (moved_masks == 1)[seen])
    assert len({one.tobytes() for one in moved_masks}) == 16


def test_prior_art_12_no_class_is_made_up_by_augmenting() -> None:
    masks = np.where(np.random.default_rng(0).random((8, 32, 32)) < 0.5, 0, 2).astype(np.int32)
    wide = settings(max_shift=0.2, max_rotation=0.5)
    _, moved = augment(noise(8, 32), masks, tf.constant([1, 2], tf.int64), wide)
    assert set(np.unique(moved.numpy()).tolist()) == {IGNORED, 0, 2}


def test_what_is_moved_in_from_outside_is_ignored() -> None:
    masks = np.ones((8, 32, 32), np.int32)
    shifted = settings(max_shift=0.4, max_rotation=0)
    _, moved = augment(noise(8, 32), masks, tf.constant([3, 4], tf.int64), shifted)
    for mask in moved.numpy() != IGNORED:
        rows, columns = mask.any(axis=1), mask.any(axis=0)
        np.testing.assert_array_equal(mask, rows[:, None] & columns[None])
    assert (moved.numpy() == IGNORED).any()


def test_augmentation_that_is_switched_off_changes_nothing() -> None:
    images, masks = noise(4, 32), some_masks(4, 32)
    off = settings(max_shift=0, max_rotation=0, max_contrast=0)
    same, same_masks = augment(images, masks, tf.constant([1, 2], tf.int64), off)
    np.testing.assert_allclose(same, images, atol=1e-2)
    np.testing.assert_array_equal(same_masks, masks)


def test_the_seed_decides_the_augmentation() -> None:
    images, masks = noise(4, 32), some_masks(4, 32)
    first, again, other = (
        augment(images, masks, tf.constant([1, last], tf.int64), settings())[1].numpy() for last in (2, 2, 3)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
