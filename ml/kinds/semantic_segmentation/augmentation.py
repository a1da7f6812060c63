"""Random changes to a segmenter's training images and, where they move, to their masks alike."""

from __future__ import annotations

import tensorflow as tf

from ml.kinds.images.augmentation import (
    AugmentationSettings,
    change_contrast,
    draw_transforms,
    move_images,
    move_masks,
)
from ml.kinds.semantic_segmentation.losses import IGNORED


def augment(
    images: tf.Tensor, masks: tf.Tensor, seed: tf.Tensor, settings: AugmentationSettings
) -> tuple[tf.Tensor, tf.Tensor]:
    """Flips, shifts and rotates both, and changes the images' contrast: float32[N, H, W, 3] of 0 to 255 and int32[N, H,
    W] of class indices → the same shapes and ranges.

    ``seed`` is int[2]: the same seed and images give the same result. Pixels that come in from outside are ignored.
    """
    transforms = draw_transforms(images, seed, settings)
    changed = change_contrast(move_images(images, transforms), seed, settings)
    return changed, move_masks(masks, transforms, IGNORED)
