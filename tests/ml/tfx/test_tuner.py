"""The search for hyperparameters, and what becomes of its result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ml.errors import SettingsError
from ml.home import pipeline_storage
from ml.runs import read_run
from ml.tfx.metadata import run_outputs
from ml.tfx.node import LocalRun
from tests.ml.tfx.digits_pipeline import PIPELINE, prepare

pytestmark = pytest.mark.slow

SEARCH = {"tuner__enabled": "true", "tuner__max_trials": "2", "tuner__epochs": "1", "training__epochs": "1"}


def run_before_tuner(run: LocalRun) -> set[str]:
    """The states of the nodes whose outputs the search takes; all but the Champion, which is imported each time."""
    nodes = run.nodes[: run.nodes.index("Tuner")]
    return {run.run_node(node).state for node in nodes if node != "Champion"}


def written(run: LocalRun, run_id: str, output: str) -> Any:
    outputs = run_outputs(run.metadata, read_run(pipeline_storage(PIPELINE), run_id).run)
    [file] = Path(outputs["Tuner"][output]).iterdir()
    return json.loads(file.read_text("utf-8"))


def test_the_trainer_uses_what_the_search_found_and_a_second_run_finds_both_in_the_cache(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = prepare("tuned", [1], **SEARCH)
    assert run_before_tuner(run) == {"cached"}, "the search changes nothing before it"
    assert run.run_node("Tuner").state == "succeeded"
    trials = written(run, "tuned", "tuner_results")
    best = written(run, "tuned", "best_hyperparameters")["values"]
    assert len({trial["learning_rate"] for trial in trials}) == 2
    winner = max(trials, key=lambda trial: float(trial["score"]))
    assert best == {name: winner[name] for name in ("dropout", "learning_rate")}

    assert run.run_node("Trainer").state == "succeeded"
    told = f"training with learning rate {best['learning_rate']}, dropout {best['dropout']}\n"
    assert told in capsys.readouterr().err

    again = prepare("tuned again", [1], **SEARCH)
    run_before_tuner(again)
    assert [again.run_node(node).state for node in ("Tuner", "Trainer")] == ["cached", "cached"]
    assert written(again, "tuned again", "best_hyperparameters")["values"] == best


def test_a_search_whose_trials_fail_finds_nothing_and_tells_why(trained: Path) -> None:
    run = prepare("untunable", [1], model__backbone="InceptionV3", **SEARCH)
    run_before_tuner(run)
    with pytest.raises(SettingsError, match="InceptionV3 with image_size 16"):
        run.run_node("Tuner")
