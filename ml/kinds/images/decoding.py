"""Encoded images of any size into one tensor; the same operations in Transform, training and serving."""

from __future__ import annotations

import tensorflow as tf

from ml.kinds.images.headers import HEADER_CHUNK, PNG
from ml.kinds.images.upright import any_may_be_turned, orientation_of, turn_upright, upright_size

#: What a PNG begins with; one with an unknown chunk before its header is measured by decoding.
_PNG_WITH_HEADER = PNG + HEADER_CHUNK


def decode_images(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """Decodes and resizes a batch: string[N] of PNG or JPEG, grey or colour → float32[N, size, size, 3].

    Values are whole numbers from 0 to 255; an alpha channel is dropped; the orientation in EXIF is applied; downscaling
    is antialiased. An image that can't be decoded is a ``tf.errors.InvalidArgumentError`` for the whole batch.
    """

    def decode(one: tf.Tensor, *, turn: bool) -> tf.Tensor:
        image = tf.io.decode_image(one, channels=3, expand_animations=False)
        image.set_shape([None, None, 3])
        if turn:
            image = turn_upright(image, orientation_of(one))
        resized = tf.cond(  # antialiasing is slow, and changes nothing when an image grows
            tf.reduce_max(tf.shape(image)) > size,
            lambda: tf.image.resize(image, [size, size], antialias=True),
            lambda: tf.image.resize(image, [size, size]),
        )
        return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)

    def decode_all(*, turn: bool) -> tf.Tensor:
        signature = tf.TensorSpec([size, size, 3], tf.uint8)
        return tf.map_fn(
            lambda one: decode(one, turn=turn), encoded, fn_output_signature=signature, parallel_iterations=32
        )

    # Apart, since looking for the orientation takes longer than decoding a small image does.
    decoded = tf.cond(any_may_be_turned(encoded), lambda: decode_all(turn=True), lambda: decode_all(turn=False))
    return tf.cast(decoded, tf.float32)


def image_sizes(encoded: tf.Tensor) -> tf.Tensor:
    """Heights and widths of a batch as people see it, upright: string[N] of PNG or JPEG → int32[N, 2].

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

    def sizes(*, turn: bool) -> tf.Tensor:
        return tf.map_fn(
            lambda one: upright_size(size(one), orientation_of(one)) if turn else size(one),
            encoded,
            fn_output_signature=tf.TensorSpec([2], tf.int32),
        )

    return tf.cond(any_may_be_turned(encoded), lambda: sizes(turn=True), lambda: sizes(turn=False))
