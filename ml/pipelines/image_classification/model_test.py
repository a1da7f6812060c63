"""The model and how it trains, without a TFX pipeline around it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml.errors import SettingsError
from ml.kinds.image_classification.augmentation import augment
from ml.kinds.image_classification.backbone_names import BACKBONES
from ml.kinds.image_classification.backbones import image_features
from ml.pipeline_modules import bind_pipeline
from ml.pipelines.image_classification.settings import ModelSettings
from ml.settings import load_settings


@pytest.fixture
def model_module() -> ModuleType:
    bind_pipeline("image_classification")
    from ml.pipelines.image_classification import model

    return model


def noise(count: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3)).astype(np.float32)


def slow(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("backbone", "size"),
    [
        ("small_cnn", 8),
        ("small_cnn", 45),
        ("MobileNetV2", 32),
        slow("ConvNeXtTiny", 32),
        slow("DenseNet121", 32),
        slow("EfficientNetB0", 32),
        slow("EfficientNetV2B0", 40),
        slow("InceptionV3", 75),
        slow("MobileNetV3Small", 32),
        slow("NASNetMobile", 32),
        slow("ResNet50", 32),
        slow("VGG16", 32),
        slow("Xception", 71),
    ],
)
def test_a_backbone_gives_probabilities_of_every_class(model_module: ModuleType, backbone: str, size: int) -> None:
    model = model_module.build_model(ModelSettings(backbone=backbone, image_size=size), 7, 1e-3, 10)
    probabilities = model(noise(3, size), training=False).numpy()
    assert probabilities.shape == (3, 7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_every_model_of_keras_applications_can_be_named() -> None:
    assert {name for name in dir(keras.applications) if name[0].isupper()} | {"small_cnn"} == set(BACKBONES)


def test_each_backbone_scales_its_input_as_it_was_trained() -> None:
    black, white = np.zeros((1, 32, 32, 3), np.float32), np.full((1, 32, 32, 3), 255, np.float32)
    model = image_features("MobileNetV2", size=32, weights="none", fine_tune=False)
    bare = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg")
    bare.set_weights(model.get_weights())
    for pixels, scaled in ((black, -np.ones_like(black)), (white, np.ones_like(white))):
        np.testing.assert_allclose(model(pixels, training=False), bare(scaled, training=False), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("fine_tune", [False, True], ids=["frozen", "fine-tuned"])
def test_loaded_weights_stay_as_they_are_unless_they_are_fine_tuned(
    model_module: ModuleType, tmp_path: Path, fine_tune: bool
) -> None:
    body = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg")
    file = str(tmp_path / "own.weights.h5")
    body.save_weights(file)
    settings = ModelSettings(backbone="MobileNetV2", weights=file, fine_tune=fine_tune)
    model = model_module.build_model(settings, 3, 1e-2, 10)
    *before, last = model.get_weights()[: len(body.get_weights()) + 1]
    for loaded, own in zip(before, body.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, own)
    model.fit(noise(8, 32), np.arange(8) % 3, batch_size=8, verbose=0)
    *after, trained = model.get_weights()[: len(before) + 1]
    changed = [not np.array_equal(one, other) for one, other in zip(before, after, strict=True)]
    assert all(changed) if fine_tune else not any(changed), "batch normalisation's statistics are weights, too"
    assert not np.array_equal(last, trained)


@pytest.mark.slow
def test_a_weights_file_of_another_backbone_is_refused_by_key(tmp_path: Path) -> None:
    other = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg")
    other.save_weights(file := str(tmp_path / "other.weights.h5"))
    with pytest.raises(SettingsError, match=r"model\.backbone MobileNetV2 with image_size 32 and weights") as raised:
        image_features("MobileNetV2", size=32, weights=file, fine_tune=False)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"backbone": "InceptionV3", "image_size": 32}, "model.backbone InceptionV3 with image_size 32"),
        ({"backbone": "MobileNetV2", "weights": "/nowhere/weights.h5"}, "/nowhere/weights.h5"),
    ],
)
def test_what_a_backbone_can_not_do_is_told_by_key(
    model_module: ModuleType, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(SettingsError, match=told) as raised:
        model_module.build_model(ModelSettings(**settings), 2, 1e-3, 10)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ({"model.backbone": "ResNet5"}, "`model.backbone` is 'ResNet5': allowed: small_cnn, ConvNeXtTiny, "),
        ({"model.weights": "imagenet"}, "`model.weights` is 'imagenet': small_cnn takes none"),
    ],
)
def test_what_no_backbone_can_be_is_refused_with_the_settings(override: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        load_settings("image_classification", override)


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
