"""The classifier: how it is built, trained and exported. TFX calls ``run_fn``."""

from __future__ import annotations

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from ml.kinds.classification.exporting import export_classifier
from ml.kinds.classification.training import classes_of
from ml.kinds.training import EpochLog, begin_anew, matched, split_of, transformed_examples
from ml.settings_sections import TrainingSettings

from .columns import COLUMNS
from .settings import ModelSettings


def build_model(settings: ModelSettings, classes: int, learning_rate: float) -> keras.Model:
    """A compiled classifier: float32[N, columns] → probabilities float32[N, classes]."""
    row = keras.Input([len(COLUMNS)])
    hidden = keras.layers.Dense(settings.hidden, activation="relu")(row)
    model = keras.Model(row, keras.layers.Dense(classes, activation="softmax")(hidden))
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def run_fn(fn_args: FnArgs) -> None:
    """Trains on the window and exports the model."""
    settings = ModelSettings(**fn_args.custom_config["model"])
    training = TrainingSettings(**fn_args.custom_config["training"])
    begin_anew(training.seed)
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    classes = classes_of(transform)

    def examples(patterns: list[str]) -> tf.data.Dataset:
        split = split_of(matched(patterns))
        return transformed_examples(split, transform, ["row", "label"], lambda of: (of["row"], of["label_index"]))

    model = build_model(settings, len(classes), training.learning_rate)
    model.fit(
        examples(fn_args.train_files).shuffle(10_000, seed=training.seed).batch(training.batch_size),
        epochs=training.epochs,
        validation_data=examples(fn_args.eval_files).batch(training.batch_size),
        validation_freq=[training.epochs],
        callbacks=[EpochLog()],
        verbose=0,
    )
    export_classifier(model, transform, classes, fn_args.serving_model_dir, input="row", feature="row")
