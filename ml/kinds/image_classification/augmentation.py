"""Random changes to a classifier's training images."""

from __future__ import annotations

import tensorflow as tf

from ml.kinds.images.augmentation import AugmentationSettings, change_contrast, draw_transforms, move_images


def augment(images: tf.Tensor, seed: tf.Tensor, settings: AugmentationSettings) -> tf.Tensor:
    """Flips, shifts, rotates and changes the contrast: float32[N, H, W, 3] of 0 to 255 → the same shape and range.

    ``seed`` is int[2]: the same seed and images give the same result.
    """
    moved = move_images(images, draw_transforms(images, seed, settings))
    return change_contrast(moved, seed, settings)
