"""Writes a trained classifier as a SavedModel that serves."""

from __future__ import annotations

import keras
import tensorflow as tf
import tensorflow_transform as tft

from ml.kinds.exporting import Signature, export_signatures, feature_of


def export_classifier(
    model: keras.Model, transform: tft.TFTransformOutput, classes: list[str], folder: str, *, input: str, feature: str
) -> None:
    """Writes ``model`` (transformed samples → probabilities) into ``folder`` with four signatures.

    ``feature`` holds a sample as it was collected, in an example and (under the same name) as the preprocessing gives
    it to the model.

    * ``serving_default``: ``input`` string[N], samples as collected → ``label`` string[N], ``probabilities``
      float32[N, classes] in the order of ``classes``;
    * ``serving_examples``: ``examples`` string[N], serialized tf.Examples with the ``feature`` → the same;
    * ``transform_labels``: ``examples`` → ``label_index`` int64[N], the labels' indices in ``classes``, -1 for others;
    * ``vocabulary``: nothing → ``labels`` string[classes], which is ``classes``.
    """
    layer = transform.transform_features_layer()
    names = tf.constant(classes)

    def serving_default(collected: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = model(layer({feature: collected[:, tf.newaxis]})[feature], training=False)
        return {"label": tf.gather(names, tf.argmax(probabilities, axis=1)), "probabilities": probabilities}

    def serving_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return serving_default(feature_of(examples, feature))

    def transform_labels(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"label_index": layer({"label": feature_of(examples, "label")[:, tf.newaxis]})["label_index"]}

    def vocabulary() -> dict[str, tf.Tensor]:
        return {"labels": tf.identity(names)}

    signatures: dict[str, Signature] = {
        "serving_default": serving_default,
        "serving_examples": serving_examples,
        "transform_labels": transform_labels,
        "vocabulary": vocabulary,
    }
    export_signatures(model, layer, signatures, folder, called={"collected": input})
