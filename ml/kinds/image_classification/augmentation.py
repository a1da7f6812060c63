"""Random changes to training images, drawn for each image on its own, reproducible from a seed."""

from __future__ import annotations

from typing import Protocol

import tensorflow as tf


class AugmentationSettings(Protocol):
    """The pipeline's settings that say how much; see ``ml/pipelines/image_classification/settings.py``."""

    @property
    def flip(self) -> str: ...
    @property
    def max_shift(self) -> float: ...
    @property
    def max_rotation(self) -> float: ...
    @property
    def max_contrast(self) -> float: ...


def augment(images: tf.Tensor, seed: tf.Tensor, settings: AugmentationSettings) -> tf.Tensor:
    """Flips, shifts, rotates and changes the contrast: float32[N, H, W, 3] of 0 to 255 → the same shape and range.

    ``seed`` is int[2]: the same seed and images give the same result. All images are moved by one operation that takes
    a projective transform for each of them (the eight numbers that map output to input pixels, row by row).
    """
    count, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]

    def draw(number: int, low: float, high: float) -> tf.Tensor:
        own_seed = tf.random.experimental.stateless_fold_in(seed, number)
        return tf.random.stateless_uniform([count], own_seed, low, high)

    angle = draw(0, -settings.max_rotation, settings.max_rotation) * 6.283185307179586
    shift_x = draw(1, -settings.max_shift, settings.max_shift) * width
    shift_y = draw(2, -settings.max_shift, settings.max_shift) * height
    flip_x = tf.where((draw(3, 0, 1) < 0.5) & (settings.flip != "none"), -1.0, 1.0)
    flip_y = tf.where((draw(4, 0, 1) < 0.5) & (settings.flip == "horizontal_and_vertical"), -1.0, 1.0)

    cosine, sine = tf.cos(angle), tf.sin(angle)
    a, b, d, e = cosine * flip_x, -sine * flip_y, sine * flip_x, cosine * flip_y
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    c = middle_x + shift_x - a * middle_x - b * middle_y
    f = middle_y + shift_y - d * middle_x - e * middle_y
    zero = tf.zeros_like(a)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, c, d, e, f, zero, zero], axis=1),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    factor = draw(5, 1 - settings.max_contrast, 1 + settings.max_contrast)[:, None, None, None]
    mean = tf.reduce_mean(moved, axis=[1, 2, 3], keepdims=True)
    return tf.clip_by_value((moved - mean) * factor + mean, 0.0, 255.0)
