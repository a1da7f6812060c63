"""What every Trainer or Tuner needs: the examples that TFX gives it as tf.data pipelines, and a log of its epochs."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from ml.errors import DataError

#: Transformed examples are kept in memory up to this many bytes; above, they are transformed anew in each epoch.
CACHE_BYTES = 1 << 30

#: AutoGraph would rewrite the source of all that a function calls, for seconds; nothing here needs it: no ``if`` or
#: ``for`` depends on a tensor.
as_written = tf.autograph.experimental.do_not_convert


@dataclass(frozen=True, slots=True)
class Split:
    """The examples of one split: TFRecord files in order, and how many examples they hold together."""

    files: list[str]
    examples: int

    def steps(self, batch_size: int) -> int:
        """Batches in one pass."""
        return math.ceil(self.examples / batch_size)


def matched(patterns: list[str]) -> list[str]:
    """The files that TFX's patterns name, in order."""
    return sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))


def split_of(files: list[str]) -> Split:
    """The split in these files; reads them once, to count."""
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").batch(1024)
    return Split(files, sum(len(batch) for batch in records.as_numpy_iterator()))


def transformed_examples(
    split: Split,
    transform: tft.TFTransformOutput,
    features: Iterable[str],
    example: Callable[[dict[str, tf.Tensor]], tuple[tf.Tensor, tf.Tensor]],
) -> tf.data.Dataset:
    """The examples of a split one by one, in order, as what ``example`` makes of a batch of transformed features.

    ``features`` are those of the raw examples, each one string.
    """
    spec = {feature: tf.io.FixedLenFeature([1], tf.string) for feature in features}
    layer = transform.transform_features_layer()

    def transformed(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return example(layer(tf.io.parse_example(records, spec)))

    examples = (
        tf.data.TFRecordDataset(split.files, compression_type="GZIP")
        .batch(64)
        .map(as_written(transformed), num_parallel_calls=tf.data.AUTOTUNE)
        .unbatch()
        .apply(tf.data.experimental.assert_cardinality(split.examples))
    )
    size = sum(spec.shape.num_elements() * spec.dtype.size for spec in examples.element_spec)
    return examples.cache() if split.examples * size <= CACHE_BYTES else examples


def begin_anew(seed: int) -> None:
    """What is built next doesn't depend on what this process did before: random numbers follow from ``seed``, and Keras
    numbers its layers from the start, whose names are part of an exported model."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)


class EpochLog(keras.callbacks.Callback):
    """One line for each epoch in the component's log.

    Raises ``DataError`` after an epoch whose loss is NaN or infinite, or a weight after it: no later epoch mends that.
    """

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        values = ", ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        print(f"epoch {epoch + 1} of {self.params['epochs']}: {values}", file=sys.stderr, flush=True)  # noqa: T201
        losses = {name: value for name, value in (logs or {}).items() if name.endswith("loss")}
        diverged = [name for name, value in losses.items() if not math.isfinite(value)]
        if diverged or (diverged := infinite_weights(self.model)):
            raise DataError(
                f"training diverged in epoch {epoch + 1} of {self.params['epochs']}: {diverged[0]} is NaN or infinite: "
                "lower training.learning_rate, or look for extreme values in what preprocessing_fn gives"
            )


def infinite_weights(model: keras.Model) -> list[str]:
    """The paths of the model's variables that hold a value which is NaN or infinite."""
    return [
        variable.path
        for variable in model.variables
        if np.issubdtype(variable.dtype, np.floating) and not np.all(np.isfinite(np.asarray(variable)))
    ]
