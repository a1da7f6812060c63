"""Random changes to training images, drawn for each image on its own, reproducible from a seed.

A change has two halves, so that what belongs to an image (its mask) can be moved with it: transforms are drawn, and
then applied to images, or to masks, with the interpolation that suits each.
"""

from __future__ import annotations

from typing import Protocol

import tensorflow as tf


class AugmentationSettings(Protocol):
    """The pipeline's settings that say how much; see ``settings.py`` in a pipeline's folder."""

    @property
    def flip(self) -> str: ...
    @property
    def max_shift(self) -> float: ...
    @property
    def max_rotation(self) -> float: ...
    @property
    def max_contrast(self) -> float: ...


def draw_transforms(images: tf.Tensor, seed: tf.Tensor, settings: AugmentationSettings) -> tf.Tensor:
    """A flip, shift and rotation for each of the images [N, H, W, …]: float32[N, 8].

    Each row is a projective transform, the eight numbers that map output to input pixels, row by row. ``seed`` is
    int[2]: the same seed gives the same transforms.
    """
    count, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]

    def draw(number: int, low: float, high: float) -> tf.Tensor:
        return _draw(seed, number, count, low, high)

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
    return tf.stack([a, b, c, d, e, f, zero, zero], axis=1)


def move_images(images: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
    """Moves float32[N, H, W, C] by ``transforms``; what comes in from outside repeats the image's edge."""
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=images.shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


def move_masks(masks: tf.Tensor, transforms: tf.Tensor, outside: int) -> tf.Tensor:
    """Moves int32[N, H, W] by ``transforms``, each pixel to the nearest, so that no value is made up: all were there
    before, but ``outside``, which what comes in from outside has."""
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=masks[..., tf.newaxis],
        transforms=transforms,
        output_shape=masks.shape[1:3],
        fill_value=float(outside),
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )
    return moved[..., 0]


def change_contrast(images: tf.Tensor, seed: tf.Tensor, settings: AugmentationSettings) -> tf.Tensor:
    """Scales the distance of float32[N, H, W, 3] to each image's mean; values stay from 0 to 255."""
    drawn = _draw(seed, 5, tf.shape(images)[0], 1 - settings.max_contrast, 1 + settings.max_contrast)
    factor = drawn[:, None, None, None]
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return tf.clip_by_value((images - mean) * factor + mean, 0.0, 255.0)


def _draw(seed: tf.Tensor, number: int, count: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """float32[count] from ``low`` to ``high``, for the change of this number."""
    own_seed = tf.random.experimental.stateless_fold_in(seed, number)
    return tf.random.stateless_uniform([count], own_seed, low, high)
