"""What happens to an example before the model sees it, in training and (exported with the model) in serving."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from ml.kinds.images.decoding import decode_images


def preprocessing_fn(inputs: dict[str, tf.Tensor], custom_config: dict[str, Any]) -> dict[str, tf.Tensor]:
    """``image`` and ``label``, each string[N, 1] → ``image`` float32[N, size, size, 3] of 0 to 255, ``label_index``
    int64[N].

    The labels of the training examples become the vocabulary, the most frequent first; others have index -1.
    """
    images = decode_images(tf.reshape(inputs["image"], [-1]), custom_config["model"]["image_size"])
    labels = tf.reshape(inputs["label"], [-1])
    return {
        "image": images,
        "label_index": tft.compute_and_apply_vocabulary(labels, vocab_filename="label"),
    }
