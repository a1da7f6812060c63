"""The last check before a classifier is released: that it answers as it will be asked, wherever it will be served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import tensorflow as tf

from ml.errors import DataError

_BATCH = 256
#: Images that both loaders answer.
_COMPARED = 16
_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Acceptance:
    """``classes``: the labels in the order of the probabilities. ``predicted``: label → how often the model says it."""

    classes: list[str]
    predicted: dict[str, int]


def accept(model: str, examples: str, most: int) -> Acceptance:
    """Asks the SavedModel in ``model`` for up to ``most`` images of the TFRecords in the folder ``examples``.

    TensorFlow 2's loader answers all of them, the session loader (TensorFlow Serving's) the first few. Raises
    ``DataError`` where one of them can't load or answer, or the two don't agree: such a model must not be released.
    """
    images = list(islice(_images(examples), most))
    if not images:
        raise DataError(f"{examples} holds no images to check the model with")
    try:
        loaded = tf.saved_model.load(model)
        serve = loaded.signatures["serving_default"]
        classes = [label.decode() for label in loaded.signatures["vocabulary"]()["labels"].numpy()]
        answers = [
            serve(image_bytes=tf.constant(images[start : start + _BATCH])) for start in range(0, len(images), _BATCH)
        ]
    except Exception as error:  # a damaged SavedModel raises whatever its reader stumbles over
        raise DataError(f"the model in {model} does not load and answer: {_line(error)}") from error
    labels = [label.decode() for answer in answers for label in answer["label"].numpy()]
    first = answers[0]["probabilities"].numpy()[:_COMPARED]
    _compare(model, images[: len(first)], first)
    return Acceptance(classes, dict(sorted(Counter(labels).items())))


def _compare(model: str, images: list[bytes], expected: np.ndarray) -> None:
    try:
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            graph = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], model)
            signature = graph.signature_def["serving_default"]
            answered = session.run(
                signature.outputs["probabilities"].name, {signature.inputs["image_bytes"].name: images}
            )
    except Exception as error:
        raise DataError(f"the session loader can't serve the model in {model}: {_line(error)}") from error
    if answered.shape != expected.shape or not np.allclose(answered, expected, atol=_TOLERANCE):
        raise DataError(f"the model in {model} answers differently in the session loader: it must not be released")


def _images(folder: str) -> Iterator[bytes]:
    files = sorted(tf.io.gfile.glob(f"{folder}/*"))
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        yield tf.train.Example.FromString(record).features.feature["image"].bytes_list.value[0]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
