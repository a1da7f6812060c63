"""The part of a classifier between pixels and the last layer: a small CNN, or any model of keras.applications."""

from __future__ import annotations

import keras

from ml.errors import SettingsError
from ml.kinds.image_classification.backbone_names import BACKBONES, SMALL_CNN
from ml.kinds.images.applications import application, applied


def image_features(name: str, *, size: int, weights: str, fine_tune: bool) -> keras.Model:
    """A model float32[N, size, size, 3] of values 0 to 255 → float32[N, features]; its own scaling is inside.

    ``weights``: "none", "imagenet", or the path of a weights file without the top layer. Loaded weights are frozen
    unless ``fine_tune``; without weights everything trains. Raises ``SettingsError`` for what the backbone can't do.
    """
    if name == SMALL_CNN:
        if weights != "none":
            raise SettingsError(
                f"model.weights is {weights!r}, and small_cnn has none: choose a keras.applications backbone"
            )
        return _small_cnn(size)
    if name not in BACKBONES:
        raise SettingsError(f"model.backbone is {name!r}; allowed: {', '.join(BACKBONES)}")
    body = application(name, key="model.backbone", size=size, weights=weights, fine_tune=fine_tune, pooling="avg")
    pixels = keras.Input((size, size, 3), name="image")
    return keras.Model(pixels, applied(body, name, pixels), name=f"features_{name.lower()}")


def _small_cnn(size: int) -> keras.Model:
    pixels = keras.Input((size, size, 3), name="image")
    flow = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    for filters in (24, 48, 96):
        if flow.shape[1] >= 4:
            flow = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(flow)
            flow = keras.layers.BatchNormalization(momentum=0.9)(flow)
            flow = keras.layers.ReLU()(flow)
            flow = keras.layers.MaxPooling2D()(flow)
    features = keras.layers.Dense(128, activation="relu")(keras.layers.Flatten()(flow))
    return keras.Model(pixels, features, name="features_small_cnn")
