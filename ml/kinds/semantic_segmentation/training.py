"""What a segmenter's Trainer or Tuner is given."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from ml.kinds.images.augmentation import AugmentationSettings
from ml.kinds.images.training import ImageWindow
from ml.kinds.semantic_segmentation.augmentation import augment
from ml.kinds.semantic_segmentation.losses import IGNORED
from ml.kinds.training import matched


class Window(ImageWindow):
    """Images with their masks of class indices, int32[B, H, W]; IGNORED where there is none."""

    features = ("image", "mask")

    def example(self, features: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cast(features["image"], tf.uint8), tf.cast(features["mask"], tf.int16)

    def augmented(
        self, images: tf.Tensor, targets: tf.Tensor, seed: tf.Tensor, augmentation: AugmentationSettings
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return augment(images, tf.cast(targets, tf.int32), seed, augmentation)


def mean_iou(classes: int) -> keras.metrics.Metric:
    """Intersection over union of class indices and logits, summed over a pass; the mean over the classes in either."""
    return keras.metrics.MeanIoU(classes, ignore_class=IGNORED, sparse_y_pred=False, name="mean_iou")


def window_of(fn_args: Any) -> Window:
    """The window that TFX gives a ``run_fn`` or ``tuner_fn``."""
    return Window(matched(fn_args.train_files), matched(fn_args.eval_files), fn_args.transform_graph_path)
