"""What a Trainer or Tuner of a model on images is given, as tf.data pipelines, and how it trains."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import keras
import tensorflow as tf
import tensorflow_transform as tft

from ml.kinds.images.augmentation import AugmentationSettings
from ml.settings_sections import TrainingSettings

#: Decoded examples are kept in memory up to this many bytes; above, they are decoded anew in each epoch.
CACHE_BYTES = 1 << 30
#: Examples that the shuffle buffer holds at most.
SHUFFLE_EXAMPLES = 20_000

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


class ImageWindow(ABC):
    """The transformed examples of a run's window, each an image and what the model has to say of it (the target)."""

    #: The raw examples' features, each one string.
    features: ClassVar[tuple[str, ...]]

    def __init__(self, train_files: list[str], eval_files: list[str], transform_graph: str) -> None:
        self.transform = tft.TFTransformOutput(transform_graph)
        self.train, self.eval = split_of(train_files), split_of(eval_files)

    @abstractmethod
    def example(self, features: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """A batch's transformed features as (images uint8[B, H, W, 3], targets), small enough to be kept."""

    @abstractmethod
    def augmented(
        self, images: tf.Tensor, targets: tf.Tensor, seed: tf.Tensor, augmentation: AugmentationSettings
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A batch with random changes: (images float32[B, H, W, 3] of 0 to 255, targets) → the same."""

    def training_batches(self, training: TrainingSettings, augmentation: AugmentationSettings) -> tf.data.Dataset:
        """Endless (images float32[B, H, W, 3], targets), shuffled and augmented; the seed fixes both."""
        seeds = tf.data.Dataset.counter().map(
            as_written(lambda step: tf.stack([tf.constant(training.seed, tf.int64), step]))
        )
        batches = (
            self._examples(self.train)
            .shuffle(min(self.train.examples, SHUFFLE_EXAMPLES), seed=training.seed)
            .repeat()
            .batch(training.batch_size)
        )

        def changed(batch: tuple[tf.Tensor, tf.Tensor], seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return self.augmented(tf.cast(batch[0], tf.float32), batch[1], seed, augmentation)

        return (
            tf.data.Dataset.zip(batches, seeds)
            .map(as_written(changed), num_parallel_calls=tf.data.AUTOTUNE)
            .prefetch(tf.data.AUTOTUNE)
        )

    def evaluation_batches(self, batch_size: int) -> tf.data.Dataset:
        """One pass over the eval split, unchanged and in order."""
        examples = self._examples(self.eval).batch(batch_size)
        return examples.map(as_written(lambda image, target: (tf.cast(image, tf.float32), target)))

    def _examples(self, split: Split) -> tf.data.Dataset:
        spec = {feature: tf.io.FixedLenFeature([1], tf.string) for feature in self.features}
        layer = self.transform.transform_features_layer()

        def transform(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return self.example(layer(tf.io.parse_example(records, spec)))

        examples = (
            tf.data.TFRecordDataset(split.files, compression_type="GZIP")
            .batch(64)
            .map(as_written(transform), num_parallel_calls=tf.data.AUTOTUNE)
            .unbatch()
            .apply(tf.data.experimental.assert_cardinality(split.examples))
        )
        size = sum(spec.shape.num_elements() * spec.dtype.size for spec in examples.element_spec)
        return examples.cache() if split.examples * size <= CACHE_BYTES else examples


class EpochLog(keras.callbacks.Callback):
    """One line for each epoch in the component's log."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        told = ", ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        print(f"epoch {epoch + 1} of {self.params['epochs']}: {told}", file=sys.stderr, flush=True)  # noqa: T201


def fit(
    model: keras.Model,
    window: ImageWindow,
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


def matched(patterns: list[str]) -> list[str]:
    """The files that TFX's patterns name, in order."""
    return sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))


def split_of(files: list[str]) -> Split:
    """The split in these files; reads them once, to count."""
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").batch(1024)
    return Split(files, sum(len(batch) for batch in records.as_numpy_iterator()))
