"""The search for hyperparameters: KerasTuner's, as far as a Tuner needs it."""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner


class RandomSearch(keras_tuner.RandomSearch):
    """Tries random hyperparameters, one training each; only the score of a trial is kept, and no weights.

    A trial that fails ends the search with its error. KerasTuner's own trial counts as one without a score then, and
    where all fail the search "finds" the first; it also wants TensorBoard, which newer TensorFlow doesn't bring.
    """

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        try:
            return self.hypermodel.build(trial.hyperparameters).fit(*args, **kwargs)
        except Exception as error:
            raise keras_tuner.errors.FatalError(f"trial {trial.trial_id} of the search failed") from error
