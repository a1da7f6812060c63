"""What a Trainer or Tuner of a model on images is given, as tf.data pipelines, and how it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import keras
import tensorflow as tf
import tensorflow_transform as tft

from ml.kinds.images.augmentation import AugmentationSettings
from ml.kinds.training import EpochLog as EpochLog  # for who has it from here
from ml.kinds.training import Split, as_written, split_of, transformed_examples
from ml.settings_sections import TrainingSettings

#: Examples that the shuffle buffer holds at most.
SHUFFLE_EXAMPLES = 20_000


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
        return transformed_examples(split, self.transform, self.features, self.example)


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
