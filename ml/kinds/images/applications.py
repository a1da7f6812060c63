"""Models of keras.applications without their last layers, as bodies of our own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import keras

from ml.errors import SettingsError


def application(name: str, *, key: str, size: int, weights: str, fine_tune: bool, **choices: Any) -> keras.Model:
    """keras.applications' model ``name`` without its top, built for images of ``size``; ``choices`` are its own.

    ``weights``: "none", "imagenet", or the path of a weights file without the top layer. Loaded weights are frozen
    unless ``fine_tune``; without weights everything trains. Raises ``SettingsError`` for what the model can't do;
    ``key`` is the setting that named it.
    """
    constructor: Callable[..., keras.Model] = getattr(keras.applications, name)
    try:
        body = constructor(
            include_top=False,
            weights=None if weights == "none" else weights,
            input_shape=(size, size, 3),
            **choices,
        )
    except Exception as error:  # Keras raises a bare Exception where a download fails, and h5py what it stumbles over
        reason = " ".join(str(error).split())
        if weights == "imagenet" and not isinstance(error, ValueError):
            raise SettingsError(
                f"model.weights is 'imagenet', and those of {name} can't be downloaded ({reason}): give this machine a "
                "connection for the first time, or set model.weights to the path of a weights file without the top "
                "layer, or to none"
            ) from error
        raise SettingsError(f"{key} {name} with image_size {size} and weights {weights!r}: {reason}") from error
    body.trainable = weights == "none" or fine_tune
    return body


def applied(body: keras.Model, name: str, pixels: Any) -> Any:
    """What ``body``, made of the application ``name``, gives for ``pixels`` of 0 to 255, scaled as it was trained."""
    scaled = sys.modules[getattr(keras.applications, name).__module__].preprocess_input(pixels)
    # Frozen batch normalisation has to use the statistics it was trained with.
    return body(scaled) if body.trainable else body(scaled, training=False)
