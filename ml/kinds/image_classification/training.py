"""What a Trainer or Tuner is given, as tf.data pipelines and numbers that follow from the data."""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft

from ml.errors import DataError
from ml.kinds.image_classification.augmentation import AugmentationSettings, augment
from ml.settings_sections import TrainingSettings

#: Decoded images are kept in memory up to this many bytes; above, they are decoded anew in each epoch.
CACHE_BYTES = 1 << 30
#: Images that the shuffle buffer holds at most.
SHUFFLE_IMAGES = 20_000

VOCABULARY = "label"

#: AutoGraph would rewrite the source of all that a function calls, for seconds; nothing here needs it: no ``if`` or
#: ``for`` depends on a tensor.
as_written = tf.autograph.experimental.do_not_convert


@dataclass(frozen=True, slots=True)
class Split:
    """The examples of one split: TFRecord files in order, and how many examples each label has (absent labels too)."""

    files: list[str]
    labels: dict[str, int]

    @property
    def examples(self) -> int:
        return sum(self.labels.values())

    def steps(self, batch_size: int) -> int:
        """Batches in one pass."""
        return math.ceil(self.examples / batch_size)


class Window:
    """The transformed examples of a run's window. Raises ``DataError`` where there is nothing to learn from."""

    def __init__(self, train_files: list[str], eval_files: list[str], transform_graph: str) -> None:
        self.transform = tft.TFTransformOutput(transform_graph)
        self.classes = [label.decode() for label in self.transform.vocabulary_by_name(VOCABULARY)]
        if len(self.classes) < 2:
            raise DataError(
                f"the window's training examples have one label only ({', '.join(self.classes) or 'none'}): "
                "collect samples of at least two"
            )
        self.train, self.eval = _split(train_files), _split(eval_files)

    def training_batches(self, training: TrainingSettings, augmentation: AugmentationSettings) -> tf.data.Dataset:
        """Endless (images float32[B, H, W, 3], label indices int64[B]), shuffled and augmented; the seed fixes both."""
        images = self._examples(self.train)
        seeds = tf.data.Dataset.counter().map(
            as_written(lambda step: tf.stack([tf.constant(training.seed, tf.int64), step]))
        )
        batches = (
            images.shuffle(min(self.train.examples, SHUFFLE_IMAGES), seed=training.seed)
            .repeat()
            .batch(training.batch_size)
        )
        return (
            tf.data.Dataset.zip(batches, seeds)
            .map(
                as_written(lambda batch, seed: (augment(tf.cast(batch[0], tf.float32), seed, augmentation), batch[1])),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
            .prefetch(tf.data.AUTOTUNE)
        )

    def evaluation_batches(self, batch_size: int) -> tf.data.Dataset:
        """One pass over the eval split, unchanged and in order. Labels that training never saw have index -1."""
        examples = self._examples(self.eval).batch(batch_size)
        return examples.map(as_written(lambda image, label: (tf.cast(image, tf.float32), label)))

    def _examples(self, split: Split) -> tf.data.Dataset:
        spec = {"image": tf.io.FixedLenFeature([1], tf.string), "label": tf.io.FixedLenFeature([1], tf.string)}
        layer = self.transform.transform_features_layer()

        def transform(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            features = layer(tf.io.parse_example(records, spec))
            return tf.cast(features["image"], tf.uint8), features["label_index"]

        examples = (
            tf.data.TFRecordDataset(split.files, compression_type="GZIP")
            .batch(64)
            .map(as_written(transform), num_parallel_calls=tf.data.AUTOTUNE)
            .unbatch()
            .apply(tf.data.experimental.assert_cardinality(split.examples))
        )
        shape = examples.element_spec[0].shape
        return examples.cache() if split.examples * shape.num_elements() <= CACHE_BYTES else examples


def window_of(fn_args: Any) -> Window:
    """The window that TFX gives a ``run_fn`` or ``tuner_fn``."""
    return Window(_matched(fn_args.train_files), _matched(fn_args.eval_files), fn_args.transform_graph_path)


class EpochLog(keras.callbacks.Callback):
    """One line for each epoch in the component's log."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        told = ", ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        print(f"epoch {epoch + 1} of {self.params['epochs']}: {told}", file=sys.stderr, flush=True)  # noqa: T201


def fit(
    model: keras.Model,
    window: Window,
    training: TrainingSettings,
    augmentation: AugmentationSettings,
) -> None:
    """Trains a compiled ``model`` for ``training.epochs`` passes over the train split; measures it once, at the end."""
    model.fit(
        window.training_batches(training, augmentation),
        epochs=training.epochs,
        steps_per_epoch=window.train.steps(training.batch_size),
        validation_data=window.evaluation_batches(training.batch_size),
        validation_freq=[training.epochs],
        callbacks=[EpochLog()],
        shuffle=False,  # the batches are
        verbose=0,
    )


def _matched(patterns: list[str]) -> list[str]:
    return sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))


def _split(files: list[str]) -> Split:
    spec = {"label": tf.io.FixedLenFeature([], tf.string)}
    counts: Counter[str] = Counter()
    for batch in tf.data.TFRecordDataset(files, compression_type="GZIP").batch(1024):
        labels = tf.io.parse_example(batch, spec)["label"].numpy()
        counts.update(label.decode() for label in labels)
    return Split(files, dict(sorted(counts.items())))
