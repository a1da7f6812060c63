"""The image classifier: how it is built, trained, tuned and exported. TFX calls ``run_fn`` and ``tuner_fn``."""

from __future__ import annotations

import sys
from typing import Any

import keras
import keras_tuner
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult

from ml.kinds.classification.exporting import export_classifier
from ml.kinds.image_classification.backbones import image_features
from ml.kinds.image_classification.training import window_of
from ml.kinds.images.training import fit
from ml.kinds.searching import RandomSearch
from ml.kinds.training import EpochLog, begin_anew
from ml.settings_sections import TrainingSettings, TunerSettings

from .settings import ModelSettings


def build_model(settings: ModelSettings, classes: int, learning_rate: float, steps: int) -> keras.Model:
    """A compiled classifier: float32[N, size, size, 3] of 0 to 255 → probabilities float32[N, classes].

    ``learning_rate`` is where training starts; it falls to 0 along a cosine over ``steps`` batches.
    """
    features = image_features(
        settings.backbone, size=settings.image_size, weights=settings.weights, fine_tune=settings.fine_tune
    )
    dropped = keras.layers.Dropout(settings.dropout)(features.output)
    model = keras.Model(features.input, keras.layers.Dense(classes, activation="softmax")(dropped))
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def run_fn(fn_args: FnArgs) -> None:
    """Trains on the window and exports the model."""
    model_settings = ModelSettings(**fn_args.custom_config["model"])
    training = TrainingSettings(**fn_args.custom_config["training"])
    begin_anew(training.seed)
    chosen: dict[str, Any] = (fn_args.hyperparameters or {}).get("values", {})
    learning_rate, dropout = (
        chosen.get("learning_rate", training.learning_rate),
        chosen.get("dropout", model_settings.dropout),
    )
    print(f"training with learning rate {learning_rate}, dropout {dropout}", file=sys.stderr)  # noqa: T201
    model_settings = model_settings.model_copy(update={"dropout": dropout})
    window = window_of(fn_args)
    model = build_model(
        model_settings,
        classes=len(window.classes),
        learning_rate=learning_rate,
        steps=training.epochs * window.train.steps(training.batch_size),
    )
    fit(model, window, training, model_settings)
    export_classifier(
        model, window.transform, window.classes, fn_args.serving_model_dir, input="image_bytes", feature="image"
    )


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """A random search of learning rate and dropout for the best accuracy on the eval split."""
    model_settings = ModelSettings(**fn_args.custom_config["model"])
    training = TrainingSettings(**fn_args.custom_config["training"])
    tuner = TunerSettings(**fn_args.custom_config["tuner"])
    window = window_of(fn_args)
    steps_per_epoch = window.train.steps(training.batch_size)

    def build(choices: keras_tuner.HyperParameters) -> keras.Model:
        keras.utils.set_random_seed(training.seed)
        dropout = choices.Float("dropout", 0.0, 0.5, step=0.1)
        rate = choices.Float("learning_rate", 1e-4, 1e-2, sampling="log")
        settings = model_settings.model_copy(update={"dropout": dropout})
        return build_model(settings, len(window.classes), rate, tuner.epochs * steps_per_epoch)

    return TunerFnResult(
        tuner=RandomSearch(
            build,
            objective="val_accuracy",
            max_trials=tuner.max_trials,
            seed=training.seed,
            directory=fn_args.working_dir,
            project_name="search",
        ),
        fit_kwargs={
            "x": window.training_batches(training, model_settings),
            "epochs": tuner.epochs,
            "steps_per_epoch": steps_per_epoch,
            "validation_data": window.evaluation_batches(training.batch_size),
            "callbacks": [EpochLog()],
            "shuffle": False,  # the batches are
            "verbose": 0,
        },
    )
