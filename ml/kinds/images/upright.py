"""Turning decoded images upright by their EXIF, in the graph: what ``orientation`` does, in TensorFlow's operations, so
that a model that serves does it by itself wherever it is served."""

from __future__ import annotations

import tensorflow as tf

from ml.kinds.images.headers import APP1, BARE, JPEG, LAST, PNG
from ml.kinds.images.orientation import (
    EXIF,
    EXIF_CHUNK,
    FLIPPED,
    MIRRORED,
    MOST_PARTS,
    SHORT,
    TAG,
    TRANSPOSED,
    UPRIGHT,
)

#: Bytes searched for the next marker in one step.
_WINDOW = 4096
#: What has to be in a file with EXIF, somewhere. ``\C`` is any byte.
_HAS_EXIF = r"\C*(Exif\x00\x00|eXIf)\C*"


def any_may_be_turned(encoded: tf.Tensor) -> tf.Tensor:
    """Whether one of string[N] may have EXIF: a search that costs little beside decoding."""
    return tf.reduce_any(tf.strings.regex_full_match(encoded, _HAS_EXIF))


def orientation_of(one: tf.Tensor) -> tf.Tensor:
    """string[], a PNG or JPEG → int32[], its orientation as ``orientation.orientation_of`` gives it."""
    return tf.cond(tf.strings.regex_full_match(one, _HAS_EXIF), lambda: _read(one), lambda: tf.constant(UPRIGHT))


def turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """uint8[H, W, C] as stored → as people see it."""
    return tf.cond(orientation == UPRIGHT, lambda: image, lambda: _turned(image, orientation))


def upright_size(size: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """int32[2], height and width as stored → as people see them."""
    return tf.where(_is_one_of(orientation, TRANSPOSED), tf.reverse(size, [0]), size)


def _turned(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    axes = tf.where(_is_one_of(orientation, TRANSPOSED), [1, 0, 2], [0, 1, 2])
    reversed_axes = tf.boolean_mask([0, 1], [_is_one_of(orientation, FLIPPED), _is_one_of(orientation, MIRRORED)])
    turned = tf.reverse(tf.transpose(image, axes), reversed_axes)
    return tf.ensure_shape(turned, [None, None, image.shape[-1]])


def _is_one_of(orientation: tf.Tensor, orientations: tuple[int, ...]) -> tf.Tensor:
    return tf.reduce_any(orientation == tf.constant(orientations))


def _read(one: tf.Tensor) -> tf.Tensor:
    exif = tf.cond(
        tf.strings.substr(one, 0, len(PNG)) == PNG,
        lambda: _exif_chunk(one),
        lambda: tf.cond(
            tf.strings.substr(one, 0, len(JPEG)) == JPEG, lambda: _exif_segment(one), lambda: tf.constant(b"")
        ),
    )
    return _orientation(exif)


def _exif_segment(one: tf.Tensor) -> tf.Tensor:
    """The EXIF of a JPEG, empty without one; walks as ``headers.segments`` does."""
    size = tf.strings.length(one)

    def step(
        position: tf.Tensor, parts: tf.Tensor, _more: tf.Tensor, _begin: tf.Tensor, _length: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        window = _bytes(one, position, _WINDOW + 1)
        first, second = window[:-1], window[1:]
        found = tf.where((first == 0xFF) & (second != 0) & (second != 0xFF))[:, 0]
        is_found = tf.size(found) > 0
        begin = position + tf.cast(tf.concat([found, [0]], 0)[0], tf.int32) + 2
        marker = _bytes(one, begin - 1, 1, least=1)[0]
        head = _bytes(one, begin, 2, least=2)
        length = head[0] * 256 + head[1]
        is_last = _is_one_of(marker, LAST)
        is_bare = _is_one_of(marker, BARE)
        is_whole = (begin + 2 <= size) & (length >= 2)
        exif = tf.strings.substr(one, tf.minimum(begin + 2, size), tf.clip_by_value(length - 2, 0, len(EXIF))) == EXIF
        is_exif = is_found & ~is_last & is_whole & (marker == APP1) & exif
        goes_on = tf.where(is_found, ~is_last & (is_bare | is_whole) & ~is_exif, position + _WINDOW < size)
        following = tf.where(is_found, begin + tf.where(is_bare, 0, length), position + _WINDOW)
        return (
            tf.minimum(following, size),
            parts + tf.cast(is_found, tf.int32),
            goes_on,
            tf.where(is_exif, begin + 2 + len(EXIF), size),
            tf.where(is_exif, length - 2 - len(EXIF), 0),
        )

    start = (tf.constant(2), tf.constant(0), tf.constant(True), size, tf.constant(0))
    _, _, _, begin, length = tf.while_loop(
        lambda _position, parts, more, *_: more & (parts < MOST_PARTS), step, start, parallel_iterations=1
    )
    return tf.strings.substr(one, tf.minimum(begin, size), length)


def _exif_chunk(one: tf.Tensor) -> tf.Tensor:
    """The EXIF of a PNG, empty without one; walks as ``headers.chunks`` does."""
    size = tf.cast(tf.strings.length(one), tf.int64)

    def step(position: tf.Tensor, parts: tf.Tensor, _found: tf.Tensor, _end: tf.Tensor) -> tuple[tf.Tensor, ...]:
        head = tf.cast(_bytes(one, position, 8, least=8), tf.int64)
        end = position + 8 + _number(head[:4], big_endian=tf.constant(True))
        found = tf.strings.substr(one, position + 4, 4) == EXIF_CHUNK
        return tf.where(found, position + 8, tf.minimum(end + 4, size)), parts + 1, found, tf.minimum(end, size)

    start = (tf.constant(len(PNG), tf.int64), tf.constant(0), tf.constant(False), tf.constant(0, tf.int64))
    begin, _, found, end = tf.while_loop(
        lambda position, parts, found, _end: ~found & (parts < MOST_PARTS) & (position + 8 <= size),
        step,
        start,
        parallel_iterations=1,
    )
    exif = tf.strings.substr(one, begin, tf.where(found, end - begin, 0))
    begins = tf.strings.substr(exif, 0, len(EXIF)) == EXIF
    return tf.cond(begins, lambda: tf.strings.substr(exif, len(EXIF), tf.int32.max), lambda: exif)


def _orientation(tiff: tf.Tensor) -> tf.Tensor:
    size = tf.cast(tf.strings.length(tiff), tf.int64)
    order = tf.strings.substr(tiff, 0, 4)
    big_endian = order == b"MM\0*"
    directory = _number(tf.cast(_bytes(tiff, 4, 4, least=4), tf.int64), big_endian)
    is_tiff = ((order == b"II*\0") | big_endian) & (size >= 8) & (directory + 2 <= size)
    directory = tf.where(is_tiff, directory, 0)
    count = _number(tf.cast(_bytes(tiff, directory, 2, least=2), tf.int64), big_endian)
    fields = _bytes(tiff, directory + 2, 12 * count)
    fields = tf.reshape(fields[: tf.size(fields) // 12 * 12], [-1, 12])
    fields = tf.concat([fields, tf.zeros([1, 12], tf.int32)], 0)  # there is a last one, which is none

    def short(column: int) -> tf.Tensor:
        one, other = fields[:, column], fields[:, column + 1]
        return tf.where(big_endian, one * 256 + other, other * 256 + one)

    at = tf.argmax(tf.concat([short(0)[:-1] == TAG, [True]], 0))
    one, other = short(4)[at], short(6)[at]
    low, high = tf.where(big_endian, other, one), tf.where(big_endian, one, other)
    value = short(8)[at]
    is_read = is_tiff & (short(2)[at] == SHORT) & (low == 1) & (high == 0) & (value >= 1) & (value <= 8)
    return tf.where(is_read, value, UPRIGHT)


def _bytes(one: tf.Tensor, begin: tf.Tensor, count: tf.Tensor, least: int = 0) -> tf.Tensor:
    """At most ``count`` bytes as int32, as many as there are; ``least``: zeros are added up to so many."""
    begin = tf.cast(begin, tf.int64)
    begin = tf.clip_by_value(begin, 0, tf.cast(tf.strings.length(one), tf.int64))
    values = tf.cast(tf.io.decode_raw(tf.strings.substr(one, begin, tf.cast(count, tf.int64)), tf.uint8), tf.int32)
    return tf.concat([values, tf.zeros([tf.maximum(least - tf.size(values), 0)], tf.int32)], 0) if least else values


def _number(values: tf.Tensor, big_endian: tf.Tensor) -> tf.Tensor:
    """int64[n] bytes → int64[], the number that they are."""
    ordered = tf.where(big_endian, values, tf.reverse(values, [0]))
    weights = 256 ** tf.range(tf.size(values, tf.int64) - 1, -1, -1)
    return tf.reduce_sum(ordered * weights)
