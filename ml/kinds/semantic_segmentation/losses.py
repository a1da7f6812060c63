"""What a segmenter learns from: logits and class indices of pixels, of which some are ignored."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

#: The class index of a pixel that is neither learnt nor judged.
IGNORED = -1

_PIXELS = [0, 1, 2]


class SegmentationLoss(keras.losses.Loss):
    """Balanced cross-entropy plus soft Dice loss, over the pixels of a batch together.

    Plain cross-entropy is content for long with the largest class everywhere. So a pixel weighs the less in it, the
    more its class has in the batch, by the square root; and Dice (F. Milletari, N. Navab, S. Ahmadi, 2016,
    https://arxiv.org/abs/1606.04797), the mean over the batch's classes, counts each class alike. Ignored pixels
    change neither the loss nor its gradient; a batch of nothing else has the loss 0.
    """

    def __init__(self) -> None:
        super().__init__(name="segmentation_loss")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """``y_true``: class indices [N, H, W], or IGNORED; ``y_pred``: logits float32[N, H, W, C]. → float32[]."""
        indices = tf.cast(y_true, tf.int32)  # Keras gives them as floats
        truth = tf.one_hot(indices, y_pred.shape[-1], dtype=y_pred.dtype)  # 0 for each class where a pixel is ignored
        areas = tf.reduce_sum(truth, _PIXELS)
        return _entropy(truth, y_pred, areas) + _dice(truth, y_pred, areas)


def _entropy(truth: tf.Tensor, logits: tf.Tensor, areas: tf.Tensor) -> tf.Tensor:
    weights = truth * tf.math.rsqrt(tf.maximum(areas, 1.0))
    return tf.math.divide_no_nan(-tf.reduce_sum(weights * tf.nn.log_softmax(logits)), tf.reduce_sum(weights))


def _dice(truth: tf.Tensor, logits: tf.Tensor, areas: tf.Tensor) -> tf.Tensor:
    learnt = tf.reduce_sum(truth, axis=-1, keepdims=True)
    shares = tf.nn.softmax(logits) * learnt
    common = tf.reduce_sum(truth * shares, _PIXELS)
    similarity = tf.math.divide_no_nan(2 * common, areas + tf.reduce_sum(shares, _PIXELS))
    present = tf.cast(areas > 0, logits.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum((1 - similarity) * present), tf.reduce_sum(present))
