"""The part of a classifier between pixels and the last layer: a small CNN, or any model of keras.applications."""

from __future__ import annotations

import sys
from collections.abc import Callable

import keras

from ml.errors import SettingsError
from ml.kinds.image_classification.backbone_names import BACKBONES, SMALL_CNN


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
    constructor: Callable[..., keras.Model] = getattr(keras.applications, name)
    try:
        body = constructor(
            include_top=False,
            weights=None if weights == "none" else weights,
            input_shape=(size, size, 3),
            pooling="avg",
        )
    except Exception as error:  # Keras raises a bare Exception where a download fails, and h5py what it stumbles over
        reason = " ".join(str(error).split())
        if weights == "imagenet" and not isinstance(error, ValueError):
            raise SettingsError(
                f"model.weights is 'imagenet', and those of {name} can't be downloaded ({reason}): give this machine a "
                "connection for the first time, or set model.weights to the path of a weights file without the top "
                "layer, or to none"
            ) from error
        raise SettingsError(
            f"model.backbone {name} with image_size {size} and weights {weights!r}: {reason}"
        ) from error
    frozen = weights != "none" and not fine_tune
    body.trainable = not frozen
    preprocess = sys.modules[constructor.__module__].preprocess_input
    pixels = keras.Input((size, size, 3), name="image")
    # Frozen batch normalisation has to use the statistics it was trained with.
    features = body(preprocess(pixels), training=False) if frozen else body(preprocess(pixels))
    return keras.Model(pixels, features, name=f"features_{name.lower()}")


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
