"""What happens to a row before the model sees it, in training and (exported with the model) in serving."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from .rows import COLUMNS


def preprocessing_fn(inputs: dict[str, tf.Tensor], custom_config: dict[str, Any]) -> dict[str, tf.Tensor]:
    """``row`` and ``label``, each string[N, 1] → ``row`` float32[N, columns], each column with mean 0 and variance 1
    over the training examples, and ``label_index`` int64[N]."""
    rows = tf.reshape(inputs["row"], [-1])
    columns = [tft.scale_to_z_score(number_in(rows, column)) for column in COLUMNS]
    labels = tf.reshape(inputs["label"], [-1])
    return {
        "row": tf.stack(columns, axis=1),
        "label_index": tft.compute_and_apply_vocabulary(labels, vocab_filename="label"),
    }


def number_in(rows: tf.Tensor, key: str) -> tf.Tensor:
    """What stands after ``key`` in string[N] flat JSON objects of numbers: float32[N]."""
    found = tf.strings.regex_replace(rows, rf'(?s).*"{key}"\s*:\s*([0-9.eE+-]+).*', r"\1")
    return tf.strings.to_number(found)
