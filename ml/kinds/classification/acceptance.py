"""The last check before a classifier is released: that it answers as it will be asked, wherever it will be served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

import numpy as np
import tensorflow as tf

from ml.errors import DataError
from ml.kinds.classification.base import Classification
from ml.kinds.kind import Acceptance
from ml.settings import Settings

_BATCH = 256
#: Samples that both loaders answer.
_COMPARED = 16
_TOLERANCE = 1e-4


def accept(kind: Classification, settings: Settings, model: str, examples: str, most: int) -> Acceptance:
    """Asks the SavedModel in ``model`` for up to ``most`` samples of the TFRecords in the folder ``examples``; what it
    predicts is counted in samples.

    TensorFlow 2's loader answers all of them, the session loader (TensorFlow Serving's) the first few. Raises
    ``DataError`` where one of them can't load or answer, or the two don't agree: such a model must not be released.
    """
    given = kind.serving(settings).input
    samples = list(islice(_samples(examples, kind.collected_feature), most))
    if not samples:
        raise DataError(f"{examples} holds no examples to check the model with")
    try:
        loaded = tf.saved_model.load(model)
        serve = loaded.signatures["serving_default"]
        classes = [label.decode() for label in loaded.signatures["vocabulary"]()["labels"].numpy()]
        answers = [
            serve(**{given: tf.constant(samples[start : start + _BATCH])}) for start in range(0, len(samples), _BATCH)
        ]
        labels = [label.decode() for answer in answers for label in answer["label"].numpy()]
        first = answers[0]["probabilities"].numpy()[:_COMPARED]
    except Exception as error:  # a damaged SavedModel raises whatever its reader stumbles over
        raise DataError(f"the model in {model} does not load and answer: {_line(error)}") from error
    _compare(model, given, samples[: len(first)], first)
    return Acceptance(classes, {label: float(count) for label, count in sorted(Counter(labels).items())})


def _compare(model: str, given: str, samples: list[bytes], expected: np.ndarray) -> None:
    try:
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            graph = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], model)
            signature = graph.signature_def["serving_default"]
            answered = session.run(signature.outputs["probabilities"].name, {signature.inputs[given].name: samples})
    except Exception as error:
        raise DataError(f"the session loader can't serve the model in {model}: {_line(error)}") from error
    if answered.shape != expected.shape or not np.allclose(answered, expected, atol=_TOLERANCE):
        raise DataError(f"the model in {model} answers differently in the session loader: it must not be released")


def _samples(folder: str, feature: str) -> Iterator[bytes]:
    files = sorted(tf.io.gfile.glob(f"{folder}/*"))
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        collected = tf.train.Example.FromString(record).features.feature[feature].bytes_list.value
        if not collected:
            raise DataError(f"an example in {folder} lacks the feature {feature}: the sample as it was collected")
        yield collected[0]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
