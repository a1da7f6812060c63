"""A U-Net (O. Ronneberger, P. Fischer, T. Brox, 2015, https://arxiv.org/abs/1505.04597) on any of our encoders."""

from __future__ import annotations

import keras

from ml.kinds.semantic_segmentation.encoders import Encoder


def unet(encoder: Encoder, classes: int, dropout: float) -> keras.Model:
    """float32[N, size, size, 3] of 0 to 255 → logits float32[N, size, size, classes].

    The decoder doubles the side with transposed convolutions, and joins what the encoder saw at that level; ``dropout``
    is the share of features that are dropped in the bottleneck.
    """
    *skips, flow = encoder.levels
    flow = keras.layers.SpatialDropout2D(dropout)(flow)
    for skip, filters in zip(reversed(skips), reversed(encoder.filters), strict=True):
        flow = keras.layers.Conv2DTranspose(filters, 3, strides=2, padding="same", use_bias=False)(flow)
        flow = keras.layers.BatchNormalization(momentum=0.9)(flow)
        flow = keras.layers.ReLU()(flow)
        flow = keras.layers.Concatenate()([flow, skip])
    logits = keras.layers.Conv2DTranspose(classes, 3, strides=2, padding="same", name="logits")(flow)
    return keras.Model(encoder.pixels, logits, name="unet")
