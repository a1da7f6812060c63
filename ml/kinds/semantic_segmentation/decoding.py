"""Masks of any size into one tensor of class indices, in the graph."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from ml.kinds.semantic_segmentation.losses import IGNORED


def decode_masks(encoded: tf.Tensor, size: int, ids: Sequence[int]) -> tf.Tensor:
    """Decodes and resizes canonical masks: string[N] → int64[N, size, size] of positions in ``ids``.

    A pixel gets the class of the nearest one, so no class is made up. Pixels whose value is not among ``ids`` are
    IGNORED: they have the index to ignore, or belong to a class that the settings don't have any more.
    """

    def decode(one: tf.Tensor) -> tf.Tensor:
        mask = tf.io.decode_png(one, channels=1)
        resized = tf.image.resize(mask, [size, size], tf.image.ResizeMethod.NEAREST_NEIGHBOR)
        return tf.ensure_shape(resized[..., 0], [size, size])

    values = tf.map_fn(decode, encoded, fn_output_signature=tf.TensorSpec([size, size], tf.uint8))
    indices = [ids.index(value) if value in ids else IGNORED for value in range(256)]
    return tf.gather(tf.constant(indices, tf.int64), tf.cast(values, tf.int32))
