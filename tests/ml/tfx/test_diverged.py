"""A training that diverges stops where it does, and no model of NaNs is exported or released."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from ml.errors import DataError
from ml.home import pipeline_storage
from ml.kinds.exporting import export_signatures
from ml.kinds.training import EpochLog
from ml.runs import read_run
from ml.tfx.metadata import run_outputs
from tests.ml.tfx.digits_pipeline import PIPELINE, prepare


def linear(rate: float) -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), loss="mse")
    return model


def fit(model: keras.Model, numbers: np.ndarray) -> None:
    model.fit(numbers, numbers[:, :1], epochs=5, batch_size=8, verbose=0, callbacks=[EpochLog()])


def test_a_loss_that_is_no_number_ends_the_training_with_its_epoch() -> None:
    model = linear(1e30)
    with pytest.raises(DataError, match=r"epoch [12] of 5: loss is NaN or infinite: lower training"):
        fit(model, np.random.default_rng(0).normal(size=(64, 2)))


def test_a_weight_that_is_no_number_ends_the_training() -> None:
    """Also where the loss doesn't show it, as with a weight that the loss doesn't depend on."""
    model = linear(0.0)
    model.layers[0].bias.assign([np.inf])
    log = EpochLog()
    log.set_params({"epochs": 1})
    log.set_model(model)
    with pytest.raises(DataError, match=r"epoch 1 of 1: .*bias is NaN or infinite"):
        log.on_epoch_end(0, {"loss": 1.0})


def test_a_model_of_no_numbers_is_not_exported(tmp_path: Path) -> None:
    model = linear(0.1)
    model.layers[0].kernel.assign([[np.nan], [0.0]])
    with pytest.raises(DataError, match="kernel of the trained model is NaN or infinite"):
        export_signatures(model, None, {}, str(tmp_path / "model"))
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_the_trainer_stops_with_one_line(trained: Path) -> None:
    run = prepare("diverged", [1], training__learning_rate="1e30")
    for node in ("ImportExampleGen", "ImportSchemaGen", "StatisticsGen", "ExampleValidator", "Transform"):
        run.run_node(node)
    with pytest.raises(DataError, match="training diverged in epoch 1 of 8"):
        run.run_node("Trainer")
    assert "Trainer" not in run_outputs(run.metadata, read_run(pipeline_storage(PIPELINE), "diverged").run)
