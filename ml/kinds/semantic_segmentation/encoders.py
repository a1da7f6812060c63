"""The half of a U-Net that looks: from pixels to features, coarser and coarser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from ml.errors import SettingsError
from ml.kinds.images.applications import application, applied
from ml.kinds.semantic_segmentation.encoder_names import ENCODERS, SMALL

#: MobileNetV2's layers at 1/2, 1/4, 1/8, 1/16 and 1/32 of the image's side.
_MOBILE_NET_V2 = (
    "block_1_expand_relu",
    "block_3_expand_relu",
    "block_6_expand_relu",
    "block_13_expand_relu",
    "block_16_project",
)
_SMALL = (24, 48, 96, 128)


@dataclass(frozen=True, slots=True)
class Encoder:
    """``pixels``: the input, float32[N, size, size, 3] of 0 to 255. ``levels``: features at 1/2 of the image's side, at
    1/4 and so on; the last is the bottleneck. ``filters``: how many the decoder has at each level but the last, finest
    first."""

    pixels: Any
    levels: Sequence[Any]
    filters: Sequence[int]


def image_encoder(name: str, *, size: int, weights: str, fine_tune: bool) -> Encoder:
    """The encoder ``name``; its own scaling is inside.

    ``weights``: "none", "imagenet", or the path of a weights file without the top layer. Loaded weights are frozen
    unless ``fine_tune``; without weights everything trains. Raises ``SettingsError`` for what the encoder can't do.
    """
    if name not in ENCODERS:
        raise SettingsError(f"model.encoder is {name!r}; allowed: {', '.join(ENCODERS)}")
    if size % ENCODERS[name]:
        raise SettingsError(f"model.image_size is {size}: the encoder {name} needs a multiple of {ENCODERS[name]}")
    if name == SMALL:
        if weights != "none":
            raise SettingsError(f"model.weights is {weights!r}, and the encoder small has none: choose MobileNetV2")
        return _small(size)
    whole = application(name, key="model.encoder", size=size, weights=weights, fine_tune=fine_tune)
    body = keras.Model(whole.input, [whole.get_layer(layer).output for layer in _MOBILE_NET_V2], name=name.lower())
    body.trainable = whole.trainable
    pixels = keras.Input((size, size, 3), name="image")
    return Encoder(pixels, applied(body, name, pixels), filters=(64, 128, 256, 512))


def _small(size: int) -> Encoder:
    pixels = keras.Input((size, size, 3), name="image")
    flow = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    levels = []
    for filters in _SMALL:
        flow = _convolved(_convolved(flow, filters, strides=2), filters)
        levels.append(flow)
    return Encoder(pixels, levels, filters=_SMALL[:-1])


def _convolved(flow: Any, filters: int, strides: int = 1) -> Any:
    flow = keras.layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(flow)
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(flow))
