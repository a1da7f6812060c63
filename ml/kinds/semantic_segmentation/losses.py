"""What a segmenter learns from: logits and class indices of pixels, of which some are ignored."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

#: The class index of a pixel that is neither learnt nor judged.
IGNORED = -1


class SegmentationLoss(keras.losses.Loss):
    """Cross-entropy, the mean over a batch's pixels, and soft Dice loss, the mean over the classes in the batch.

    Cross-entropy alone is content for long with the largest class everywhere; Dice (F. Milletari, N. Navab,
    S. Ahmadi, 2016, https://arxiv.org/abs/1606.04797) counts each class alike, however few its pixels are. Ignored
    pixels change neither the loss nor its gradient; a batch of nothing else has the loss 0.
    """

    def __init__(self) -> None:
        super().__init__(name="segmentation_loss")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """``y_true``: class indices int[N, H, W], or IGNORED; ``y_pred``: logits float32[N, H, W, C]. → float32[]."""
        learnt = tf.cast(y_true != IGNORED, y_pred.dtype)
        indices = tf.cast(tf.maximum(y_true, 0), tf.int32)  # Keras gives them as floats
        entropies = tf.nn.sparse_softmax_cross_entropy_with_logits(indices, y_pred) * learnt
        return tf.math.divide_no_nan(tf.reduce_sum(entropies), tf.reduce_sum(learnt)) + _dice(indices, y_pred, learnt)


def _dice(indices: tf.Tensor, logits: tf.Tensor, learnt: tf.Tensor) -> tf.Tensor:
    truth = tf.one_hot(indices, logits.shape[-1], dtype=logits.dtype) * learnt[..., tf.newaxis]
    shares = tf.nn.softmax(logits) * learnt[..., tf.newaxis]
    everywhere = [0, 1, 2]
    common = tf.reduce_sum(truth * shares, everywhere)
    of_truth, of_shares = tf.reduce_sum(truth, everywhere), tf.reduce_sum(shares, everywhere)
    losses = tf.where(of_truth > 0, 1 - tf.math.divide_no_nan(2 * common, of_truth + of_shares), 0.0)
    return tf.math.divide_no_nan(tf.reduce_sum(losses), tf.reduce_sum(tf.cast(of_truth > 0, logits.dtype)))
