"""Asks a SavedModel as it will be asked, in TensorFlow 2's loader and in the session loader, TensorFlow Serving's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from more_itertools import constrained_batches

from ml.errors import DataError
from ml.kinds.kind import Serving

#: Samples of one call, and what they may take in memory, as the kind tells it.
_CALL = 256
_CALL_BYTES = 256 << 20
#: Samples that both loaders answer.
_COMPARED = 16
_TOLERANCE = 1e-4

#: By their names.
Outputs = dict[str, npt.NDArray[Any]]


def collected_samples(examples: str, feature: str, most: int) -> list[bytes]:
    """Up to ``most`` samples as they were collected, from a feature of the TFRecords in the folder ``examples``.

    Raises ``DataError`` where there is none, or an example lacks the feature.
    """
    found = list(islice(_features(examples, feature), most))
    if not found:
        raise DataError(f"{examples} holds no examples to check the model with")
    return found


def read_examples(folder: str) -> Iterator[Any]:
    """Every ``tf.train.Example`` of the TFRecords in the folder, in order."""
    files = sorted(tf.io.gfile.glob(f"{folder}/*"))
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        yield tf.train.Example.FromString(record)


def collected_sample(example: Any, feature: str, folder: str) -> bytes:
    """The sample as it was collected, from the ``feature`` of an example in ``folder``. Raises ``DataError`` if the
    example lacks it."""
    values = example.features.feature[feature].bytes_list.value
    if not values:
        raise DataError(f"an example in {folder} lacks the feature {feature}: the sample as it was collected")
    return bytes(values[0])


def ask(model: str, serving: Serving, samples: Sequence[bytes]) -> tuple[Outputs, Outputs]:
    """What the model's ``serving_default`` gives for the samples, and its ``vocabulary``.

    TensorFlow 2's loader answers all of them, the session loader the first few. Raises ``DataError`` where one of them
    can't load or answer, or the numbers that they give don't agree: such a model must not be released.
    """
    try:
        loaded = tf.saved_model.load(model)
        serve = loaded.signatures["serving_default"]
        vocabulary = {name: value.numpy() for name, value in loaded.signatures["vocabulary"]().items()}
        calls = [
            {name: value.numpy() for name, value in serve(**{serving.input: tf.constant(call)}).items()}
            for call in _calls(serving, samples)
        ]
        outputs = {name: np.concatenate([call[name] for call in calls]) for name in sorted(serving.outputs)}
    except Exception as error:  # a damaged SavedModel raises whatever its reader stumbles over
        raise DataError(f"the model in {model} does not load and answer: {_line(error)}") from error
    for name, values in outputs.items():
        if np.issubdtype(values.dtype, np.floating) and not np.all(np.isfinite(values)):
            raise DataError(f"the model in {model} answers NaN or infinity ({name}): it must not be released")
    _compare(model, serving, samples[:_COMPARED], outputs)
    return outputs, vocabulary


def _compare(model: str, serving: Serving, samples: Sequence[bytes], expected: Outputs) -> None:
    try:
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            graph = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], model)
            signature = graph.signature_def["serving_default"]
            names = {name: signature.outputs[name].name for name in expected}
            given = signature.inputs[serving.input].name
            answers = [session.run(names, {given: list(call)}) for call in _calls(serving, samples)]
            answered = {name: np.concatenate([answer[name] for answer in answers]) for name in expected}
    except Exception as error:
        raise DataError(f"the session loader can't serve the model in {model}: {_line(error)}") from error
    for name, values in answered.items():
        wanted = expected[name][: len(samples)]
        agree = values.shape == wanted.shape
        if agree and np.issubdtype(wanted.dtype, np.number):
            agree = np.allclose(values, wanted, atol=_TOLERANCE)
        if not agree:
            raise DataError(
                f"the model in {model} answers differently in the session loader ({name}): it must not be released"
            )


def _calls(serving: Serving, samples: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
    return constrained_batches(samples, _CALL_BYTES, _CALL, get_len=serving.memory, strict=False)


def _features(folder: str, feature: str) -> Iterator[bytes]:
    return (collected_sample(example, feature, folder) for example in read_examples(folder))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
