"""The factory and the compiled graph."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from tensorflow_model_analysis.evaluators.metrics_validator import validate_metrics
from tensorflow_model_analysis.metrics.metric_specs import metric_thresholds_from_metrics_specs

from ml.cli import run
from ml.errors import NotFoundError, SettingsError
from ml.graph import graph_source, read_graph
from ml.home import pipeline_folder
from ml.kinds.classification.gate import evaluation_config
from ml.pipeline_modules import bind_pipeline
from ml.settings import load_settings
from ml.tfx.compilation import compile_graph
from ml.tfx.sources import sources_version

PIPELINE = "image_classification"


@pytest.fixture
def own_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's pipeline in a folder of their own."""
    shutil.copytree(pipeline_folder(PIPELINE), tmp_path / "own_images")
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path))
    return tmp_path / "own_images"


def test_the_graph_in_the_repository_is_up_to_date() -> None:
    assert read_graph(PIPELINE) == compile_graph(load_settings(PIPELINE))
    assert run(["compile", PIPELINE, "--check"]) == 0


def test_each_node_comes_after_what_it_waits_for() -> None:
    seen: set[str] = set()
    for node in compile_graph(load_settings(PIPELINE)).nodes:
        assert set(node.upstream) <= seen
        seen.add(node.id)


def test_transform_waits_for_the_validation_of_the_examples() -> None:
    assert "ExampleValidator" in compile_graph(load_settings(PIPELINE)).node("Transform").upstream


def test_the_tuner_is_there_when_it_is_enabled_and_the_trainer_waits_for_it() -> None:
    plain, tuned = (load_settings(PIPELINE, {"tuner.enabled": value}) for value in ("false", "true"))
    assert "Tuner" not in [node.id for node in compile_graph(plain).nodes]
    assert "Tuner" in compile_graph(tuned).node("Trainer").upstream
    assert graph_source(plain) != graph_source(tuned)


def test_the_blessing_is_decided_overall_and_not_for_each_label() -> None:
    config = evaluation_config(load_settings(PIPELINE))
    keys = list(metric_thresholds_from_metrics_specs(config.metrics_specs, eval_config=config))
    assert [key.is_diff for key in keys] == [False], "how it compares with the champion is decided after the Evaluator"
    poor = dict.fromkeys(keys, 0.1)
    assert not validate_metrics(((), poor), config).validation_ok
    assert validate_metrics(((("label", b"4"),), poor), config).validation_ok


@pytest.mark.parametrize(
    ("right", "examples", "threshold"), [(114, 120, "0.95"), (14, 20, "0.7"), (35, 50, "0.7"), (180, 200, "0.9")]
)
def test_a_candidate_that_reaches_the_threshold_exactly_is_blessed(right: int, examples: int, threshold: str) -> None:
    """TFMA measures in float32, in which 114 of 120 is less than 0.95."""
    config = evaluation_config(load_settings(PIPELINE, {"training.blessing_threshold": threshold}))
    keys = metric_thresholds_from_metrics_specs(config.metrics_specs, eval_config=config)
    assert validate_metrics(((), dict.fromkeys(keys, np.float32(right / examples))), config).validation_ok
    assert not validate_metrics(((), dict.fromkeys(keys, np.float32((right - 1) / examples))), config).validation_ok


def test_a_stale_graph_is_found_and_compiled_anew(own_pipeline: Path) -> None:
    settings = own_pipeline / "settings.yaml"
    settings.write_text(settings.read_text("utf-8") + "tuner:\n  enabled: true\n", "utf-8")
    assert run(["compile", "own_images", "--check"]) == SettingsError.exit_code
    assert run(["compile", "own_images"]) == 0
    assert run(["compile", "own_images", "--check"]) == 0
    assert read_graph("own_images").node("Tuner").upstream


def test_a_pipeline_without_a_graph_says_how_to_compile_it(own_pipeline: Path) -> None:
    (own_pipeline / "graph.json").unlink()
    with pytest.raises(NotFoundError, match="python -m ml compile own_images"):
        read_graph("own_images")


def test_the_graph_of_another_pipeline_is_not_taken_for_its_own(own_pipeline: Path) -> None:
    """The folder is a copy of another pipeline's, and wasn't compiled since."""
    with pytest.raises(SettingsError, match=f"graph of pipeline {PIPELINE}; run: python -m ml compile own_images"):
        read_graph("own_images")
    assert run(["compile", "own_images"]) == 0
    assert read_graph("own_images").pipeline == "own_images"


def test_a_pipelines_modules_are_those_of_the_folder_it_was_found_in(
    own_pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = own_pipeline.parent / "revision" / "own_images"
    shutil.copytree(own_pipeline, revision)
    for folder, name in ((own_pipeline, "first"), (revision, "second")):
        (folder / "marker.py").write_text(f"NAME = {name!r}\n", "utf-8")
        monkeypatch.setenv("RESPAN_PIPELINES", str(folder.parent))
        bind_pipeline("own_images")
        assert name == importlib.import_module("ml.pipelines.own_images.marker").NAME


def test_the_cache_learns_of_changed_modules_and_not_of_changed_tests(own_pipeline: Path) -> None:
    settings = load_settings("own_images")
    before = sources_version(settings)
    (own_pipeline / "model_test.py").write_text("", "utf-8")
    assert sources_version(settings) == before
    (own_pipeline / "model.py").write_text("", "utf-8")
    assert sources_version(settings) != before
