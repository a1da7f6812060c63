"""Encoded images of any size into one tensor; the same operations in Transform, training and serving."""

from __future__ import annotations

import tensorflow as tf

from ml.kinds.images.headers import PNG

#: What a PNG begins with, but for one with an unknown chunk before its header, which is measured by decoding.
_PNG_WITH_HEADER = PNG + b"\0\0\0\x0dIHDR"


def decode_images(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """Decodes and resizes a batch: string[N] of PNG or JPEG, grey or colour → float32[N, size, size, 3].

    Values are whole numbers from 0 to 255; an alpha channel is dropped; downscaling is antialiased. An image that can't
    be decoded is a ``tf.errors.InvalidArgumentError`` for the whole batch.
    """

    def decode(one: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(one, channels=3, expand_animations=False)
        image.set_shape([None, None, 3])
        resized = tf.cond(  # antialiasing is slow, and changes nothing when an image grows
            tf.reduce_max(tf.shape(image)) > size,
            lambda: tf.image.resize(image, [size, size], antialias=True),
            lambda: tf.image.resize(image, [size, size]),
        )
        return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)

    signature = tf.TensorSpec([size, size, 3], tf.uint8)
    return tf.cast(tf.map_fn(decode, encoded, fn_output_signature=signature, parallel_iterations=32), tf.float32)


def image_sizes(encoded: tf.Tensor) -> tf.Tensor:
    """Heights and widths of a batch as they are encoded: string[N] of PNG or JPEG → int32[N, 2].

    From the headers alone, where decoding would take as long as it did before; of nothing else than an image that
    :func:`decode_images` takes.
    """

    def size(one: tf.Tensor) -> tf.Tensor:
        return tf.cond(
            tf.strings.substr(one, 0, 16) == _PNG_WITH_HEADER,
            lambda: tf.reverse(tf.io.decode_raw(tf.strings.substr(one, 16, 8), tf.int32, little_endian=False), [0]),
            lambda: tf.cond(
                tf.io.is_jpeg(one),
                lambda: tf.io.extract_jpeg_shape(one)[:2],
                lambda: tf.shape(tf.io.decode_image(one, channels=3, expand_animations=False))[:2],
            ),
        )

    return tf.map_fn(size, encoded, fn_output_signature=tf.TensorSpec([2], tf.int32))
