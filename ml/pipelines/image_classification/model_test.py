"""The model and how it trains, without a TFX pipeline around it."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml.errors import SettingsError
from ml.kinds.image_classification.augmentation import augment
from ml.kinds.image_classification.backbones import backbone_names, image_features
from ml.pipelines.image_classification.settings import ModelSettings
from ml.tfx.sources import bind_pipeline


@pytest.fixture
def model_module() -> ModuleType:
    bind_pipeline("image_classification")
    from ml.pipelines.image_classification import model

    return model


def noise(count: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("backbone", "size"), [("small_cnn", 8), ("small_cnn", 45), ("MobileNetV2", 32), ("ResNet50", 32)]
)
def test_a_backbone_gives_probabilities_of_every_class(model_module: ModuleType, backbone: str, size: int) -> None:
    model = model_module.build_model(ModelSettings(backbone=backbone, image_size=size), 7, 1e-3, 10)
    probabilities = model(noise(3, size), training=False).numpy()
    assert probabilities.shape == (3, 7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_every_model_of_keras_applications_can_be_named() -> None:
    assert {"small_cnn", "ResNet50", "EfficientNetB0", "MobileNetV2", "ConvNeXtTiny"} <= set(backbone_names())


def test_each_backbone_scales_its_input_as_it_was_trained() -> None:
    black, white = np.zeros((1, 32, 32, 3), np.float32), np.full((1, 32, 32, 3), 255, np.float32)
    model = image_features("MobileNetV2", size=32, weights="none", fine_tune=False)
    bare = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg")
    bare.set_weights(model.get_weights())
    for pixels, scaled in ((black, -np.ones_like(black)), (white, np.ones_like(white))):
        np.testing.assert_allclose(model(pixels, training=False), bare(scaled, training=False), atol=1e-5)


def test_loaded_weights_are_frozen_unless_they_are_fine_tuned(tmp_path) -> None:  # type: ignore[no-untyped-def]
    body = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg")
    file = str(tmp_path / "own.weights.h5")
    body.save_weights(file)
    frozen = image_features("MobileNetV2", size=32, weights=file, fine_tune=False)
    tuned = image_features("MobileNetV2", size=32, weights=file, fine_tune=True)
    assert not frozen.trainable_variables
    assert tuned.trainable_variables
    np.testing.assert_array_equal(frozen.get_weights()[0], body.get_weights()[0])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"backbone": "ResNet5"}, "model.backbone is 'ResNet5'; allowed: small_cnn, "),
        ({"backbone": "InceptionV3", "image_size": 32}, "model.backbone InceptionV3 with image_size 32"),
        ({"backbone": "small_cnn", "weights": "imagenet"}, "model.weights is 'imagenet'"),
        ({"backbone": "MobileNetV2", "weights": "/nowhere/weights.h5"}, "/nowhere/weights.h5"),
    ],
)
def test_what_a_backbone_can_not_do_is_told_by_key(
    model_module: ModuleType, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(SettingsError, match=told) as raised:
        model_module.build_model(ModelSettings(**settings), 2, 1e-3, 10)
    assert "\n" not in str(raised.value)


def test_each_image_is_augmented_on_its_own() -> None:
    images = np.repeat(noise(1, 24), 8, axis=0)
    changed = augment(tf.constant(images), tf.constant([1, 2], tf.int64), ModelSettings()).numpy()
    assert changed.shape == images.shape
    assert (changed.min(), changed.max()) >= (0, 0)
    assert changed.max() <= 255
    assert len({one.tobytes() for one in changed}) == 8


def test_the_seed_decides_the_augmentation() -> None:
    images, settings = tf.constant(noise(4, 24)), ModelSettings()
    first = augment(images, tf.constant([1, 2], tf.int64), settings).numpy()
    np.testing.assert_array_equal(first, augment(images, tf.constant([1, 2], tf.int64), settings).numpy())
    assert not np.array_equal(first, augment(images, tf.constant([1, 3], tf.int64), settings).numpy())


def test_augmentation_that_is_switched_off_changes_nothing() -> None:
    images = noise(4, 24)
    off = ModelSettings(max_shift=0, max_rotation=0, max_contrast=0)
    changed = augment(tf.constant(images), tf.constant([1, 2], tf.int64), off).numpy()
    np.testing.assert_allclose(changed, images, atol=1e-2)


def test_a_horizontal_flip_mirrors_the_image() -> None:
    images = noise(32, 24)
    flip = ModelSettings(flip="horizontal", max_shift=0, max_rotation=0, max_contrast=0)
    changed = augment(tf.constant(images), tf.constant([1, 2], tf.int64), flip).numpy()
    same = [np.allclose(one, other, atol=1e-2) for one, other in zip(changed, images, strict=True)]
    mirrored = [np.allclose(one, other[:, ::-1], atol=1e-2) for one, other in zip(changed, images, strict=True)]
    assert all(one != other for one, other in zip(same, mirrored, strict=True))
    assert any(same)
    assert any(mirrored)
