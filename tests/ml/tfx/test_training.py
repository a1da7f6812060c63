"""The Trainer's input pipeline and its determinism, on a transform graph made in seconds."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml.errors import DataError
from ml.home import pipeline_storage
from ml.kinds.image_classification.training import Window
from ml.kinds.images.training import fit
from ml.pipelines.image_classification.settings import ModelSettings
from ml.runs import read_run
from ml.settings_sections import TrainingSettings
from ml.tfx.metadata import run_outputs
from tests.ml.tfx.digits_pipeline import PIPELINE, digits, example, prepare, write_span

pytestmark = pytest.mark.slow

SETTINGS = TrainingSettings(epochs=2, batch_size=32)


def window_of_run(run_id: str) -> Window:
    run = prepare(run_id)
    outputs = run_outputs(run.metadata, read_run(pipeline_storage(PIPELINE), run_id).run)
    examples, graph = outputs["ImportExampleGen"]["examples"], outputs["Transform"]["transform_graph"]
    return Window(
        sorted(tf.io.gfile.glob(f"{examples}/Split-train/*")),
        sorted(tf.io.gfile.glob(f"{examples}/Split-eval/*")),
        graph,
    )


def trained_weights(window: Window) -> list[np.ndarray]:
    from ml.pipelines.image_classification.model import build_model

    settings = ModelSettings(image_size=16)
    keras.utils.set_random_seed(SETTINGS.seed)
    steps = SETTINGS.epochs * window.train.steps(SETTINGS.batch_size)
    model = build_model(settings, len(window.classes), 1e-3, steps)
    fit(model, window, SETTINGS, settings)
    return [np.asarray(value) for value in model.get_weights()]


def test_counts_and_steps_follow_from_the_data(trained: Path) -> None:
    window = window_of_run("first")
    assert sorted(window.classes) == [str(digit) for digit in range(10)]
    assert (window.train.examples, window.eval.examples) == (300, 100)
    assert (window.train.steps(32), window.train.steps(300), window.train.steps(301)) == (10, 1, 1)
    assert sum(len(labels) for _, labels in window.evaluation_batches(32)) == 100


def test_the_same_data_and_settings_give_the_same_model(trained: Path) -> None:
    prepare("first").run_node("Trainer")  # binds the pipeline's modules
    window = window_of_run("first")
    for one, other in zip(trained_weights(window), trained_weights(window), strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_epoch_is_augmented_anew(trained: Path) -> None:
    window = window_of_run("first")
    batches = window.training_batches(TrainingSettings(batch_size=300), ModelSettings(image_size=16))
    first, second = (images.numpy() for images, _ in batches.take(2))
    assert {one.tobytes() for one in first}.isdisjoint(one.tobytes() for one in second)


def test_a_window_with_one_label_only_is_refused(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESPAN_HOME", str(tmp_path))
    records = [example(image, "same") for image, _ in digits(0, 8)]
    write_span(1, records, records)
    run = prepare("lonely", [1])
    for node in run.nodes[: run.nodes.index("Trainer")]:
        run.run_node(node)
    with pytest.raises(DataError, match=r"one label only \(same\)"):
        run.run_node("Trainer")
