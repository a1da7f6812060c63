"""What a classifier's Trainer or Tuner is given."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from ml.kinds.classification.training import classes_of
from ml.kinds.image_classification.augmentation import augment
from ml.kinds.images.augmentation import AugmentationSettings
from ml.kinds.images.training import ImageWindow
from ml.kinds.training import matched


class Window(ImageWindow):
    """Images with the indices of their labels in ``classes``, int64; -1 for a label that training never saw.

    Raises ``DataError`` where there is nothing to learn from.
    """

    features = ("image", "label")

    def __init__(self, train_files: list[str], eval_files: list[str], transform_graph: str) -> None:
        super().__init__(train_files, eval_files, transform_graph)
        self.classes = classes_of(self.transform)

    def example(self, features: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cast(features["image"], tf.uint8), features["label_index"]

    def augmented(
        self, images: tf.Tensor, targets: tf.Tensor, seed: tf.Tensor, augmentation: AugmentationSettings
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return augment(images, seed, augmentation), targets


def window_of(fn_args: Any) -> Window:
    """The window that TFX gives a ``run_fn`` or ``tuner_fn``."""
    return Window(matched(fn_args.train_files), matched(fn_args.eval_files), fn_args.transform_graph_path)
