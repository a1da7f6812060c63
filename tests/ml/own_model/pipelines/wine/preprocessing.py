"""What happens to a row before the model sees it, in training and (exported with the model) in serving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from .columns import COLUMNS

#: A key and its number. A flat JSON object of numbers has no other strings, so each match begins with a key.
PAIR = r'"((?:[^"\\]|\\.)*)"\s*:\s*([-+.0-9eE]+)'


def preprocessing_fn(inputs: dict[str, tf.Tensor], custom_config: dict[str, Any]) -> dict[str, tf.Tensor]:
    """``row`` and ``label``, each string[N, 1] → ``row`` float32[N, columns], each column with mean 0 and variance 1
    over the training examples, and ``label_index`` int64[N]."""
    rows = numbers_in(tf.reshape(inputs["row"], [-1]), COLUMNS)
    labels = tf.reshape(inputs["label"], [-1])
    return {
        "row": tft.scale_to_z_score(rows, elementwise=True),
        "label_index": tft.compute_and_apply_vocabulary(labels, vocab_filename="label"),
    }


def numbers_in(rows: tf.Tensor, columns: Sequence[str]) -> tf.Tensor:
    """The ``columns`` of string[N] flat JSON objects of numbers: float32[N, columns].

    TensorFlow decodes JSON if it is a tf.Example's, so each row is written as one. No expression holds a column's name:
    it is the decoder that reads keys, with all escapes that JSON allows.
    """
    features = tf.strings.regex_replace(rows, PAIR, r'"\1":{"floatList":{"value":[\2]}}')
    written = tf.strings.join(['{"features":{"feature":', features, "}}"])
    parsed = tf.io.parse_example(
        tf.io.decode_json_example(written), {name: tf.io.FixedLenFeature([], tf.float32) for name in columns}
    )
    return tf.stack([parsed[name] for name in columns], axis=1)
