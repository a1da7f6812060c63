"""Writes a trained classifier as a SavedModel that serves, with the pipeline's preprocessing inside.

What is saved is a plain module that holds the Keras model's variables: such a SavedModel loads in TensorFlow 2's loader
and in the session loader of TensorFlow Serving alike, where a saved Keras 3 model loads in the first only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft


def export_classifier(model: keras.Model, transform: tft.TFTransformOutput, classes: list[str], folder: str) -> None:
    """Writes ``model`` (images → probabilities) into ``folder`` with four signatures.

    * ``serving_default``: ``image_bytes`` string[N], PNG or JPEG of any size → ``label`` string[N], ``probabilities``
      float32[N, classes] in the order of ``classes``;
    * ``serving_examples``: ``examples`` string[N], serialized tf.Examples with a feature ``image`` → the same;
    * ``transform_labels``: ``examples`` → ``label_index`` int64[N], the labels' indices in ``classes``, -1 for others;
    * ``vocabulary``: nothing → ``labels`` string[classes], which is ``classes``.
    """
    layer = transform.transform_features_layer()
    names = tf.constant(classes)

    def answer(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = model(layer({"image": encoded[:, tf.newaxis]})["image"], training=False)
        return {"label": tf.gather(names, tf.argmax(probabilities, axis=1)), "probabilities": probabilities}

    def of_examples(examples: tf.Tensor, feature: str) -> tf.Tensor:
        return tf.io.parse_example(examples, {feature: tf.io.FixedLenFeature([], tf.string)})[feature]

    def serving_default(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(image_bytes)

    def serving_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(of_examples(examples, "image"))

    def transform_labels(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        label = of_examples(examples, "label")
        return {"label_index": layer({"label": label[:, tf.newaxis]})["label_index"]}

    def vocabulary() -> dict[str, tf.Tensor]:
        return {"labels": tf.identity(names)}

    def signature(function: Callable[..., dict[str, tf.Tensor]], *inputs: str) -> Callable[..., Any]:
        specs = [tf.TensorSpec([None], tf.string, name=name) for name in inputs]
        compiled: Callable[..., Any] = tf.function(function, input_signature=specs, autograph=False)
        return compiled

    saved = tf.Module()
    saved.weights = [variable.value for variable in model.variables]
    # The layer's vocabulary tables, without the layer: a Keras model, which would be traced once more, for seconds.
    saved.transform = layer._saved_model_loader_tracked_dict
    signatures = {
        "serving_default": signature(serving_default, "image_bytes"),
        "serving_examples": signature(serving_examples, "examples"),
        "transform_labels": signature(transform_labels, "examples"),
        "vocabulary": signature(vocabulary),
    }
    tf.saved_model.save(saved, folder, signatures=signatures)
