"""Writes a trained model as a SavedModel that serves, with the pipeline's preprocessing inside.

What is saved is a plain module that holds the Keras model's variables: such a SavedModel loads in TensorFlow 2's loader
and in the session loader of TensorFlow Serving alike, where a saved Keras 3 model loads in the first only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras
import tensorflow as tf

from ml.errors import DataError
from ml.kinds.training import infinite_weights

#: Computes a signature's outputs from its inputs, each string[N].
Signature = Callable[..., dict[str, tf.Tensor]]


def export_signatures(
    model: keras.Model,
    layer: Any,
    signatures: Mapping[str, Signature],
    folder: str,
    called: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Writes ``signatures`` into ``folder``; each calls ``model`` and the transform's ``layer`` as it needs them.

    The inputs of a signature are the parameters of its function, by name; ``called`` gives some another one. Raises
    ``DataError`` for a model with a weight that is NaN or infinite.
    """
    if infinite := infinite_weights(model):
        raise DataError(
            f"{infinite[0]} of the trained model is NaN or infinite: lower training.learning_rate, or look for extreme "
            "values in what preprocessing_fn gives"
        )
    saved = tf.Module()
    saved.weights = [variable.value for variable in model.variables]
    # The layer's vocabulary tables, without the layer: a Keras model, which would be traced once more, for seconds.
    saved.transform = layer._saved_model_loader_tracked_dict
    tf.saved_model.save(saved, folder, {name: _compiled(function, called) for name, function in signatures.items()})


def feature_of(examples: tf.Tensor, feature: str) -> tf.Tensor:
    """One string feature of string[N] serialized tf.Examples: string[N]."""
    return tf.io.parse_example(examples, {feature: tf.io.FixedLenFeature([], tf.string)})[feature]


def _compiled(function: Signature, called: Mapping[str, str]) -> Any:
    names = [called.get(name, name) for name in inspect.signature(function).parameters]
    specs = [tf.TensorSpec([None], tf.string, name=name) for name in names]
    return tf.function(function, input_signature=specs, autograph=False)
