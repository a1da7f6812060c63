"""A training run as a whole: what is executed, what comes from the cache, and what is blessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml.errors import ConflictError
from ml.home import pipeline_storage
from ml.runs import read_run, start_run
from ml.tfx.node import LocalRun
from ml.tfx.outcome import RunOutcome, run_outcome
from tests.ml.tfx.digits_pipeline import FAST, PIPELINE, prepare, run_all

pytestmark = pytest.mark.slow

#: What hardly learns anything.
BAD = {"training__learning_rate": "1e-6", "training__epochs": "1"}


def outcome(run_id: str) -> RunOutcome:
    storage = pipeline_storage(PIPELINE)
    return run_outcome(PIPELINE, storage, read_run(storage, run_id).run)


def test_the_first_run_is_blessed_without_a_baseline_and_pushed(trained: Path) -> None:
    first = outcome("first")
    assert first.blessed
    assert first.metrics["accuracy"] >= 0.8
    assert first.metrics["examples"] == 100
    assert first.pushed is not None
    assert (Path(first.pushed) / "saved_model.pb").is_file()


def test_a_second_run_on_the_same_window_comes_from_the_cache_but_for_its_judgement(trained: Path) -> None:
    states = run_all(prepare("second", [1]))
    executed = {node for node, state in states.items() if state == "succeeded"}
    assert executed == {"Comparison", "Pusher"}, "places of its own to write to"
    assert outcome("second").blessed
    assert outcome("second").metrics == outcome("first").metrics


def test_a_candidate_below_the_threshold_is_not_blessed(trained: Path) -> None:
    run_all(prepare("demanding", [1], training__blessing_threshold="0.5", **BAD))
    assert outcome("demanding").metrics["accuracy"] < 0.5
    assert not outcome("demanding").blessed
    assert outcome("demanding").pushed is None


def test_a_repeated_node_changes_nothing(trained: Path) -> None:
    run = prepare("first", [1])
    before = outcome("first")
    assert run_all(run) == dict.fromkeys(run.nodes, "cached")
    assert outcome("first") == before


def test_a_run_keeps_its_window_and_settings(trained: Path) -> None:
    storage = pipeline_storage(PIPELINE)
    assert start_run(PIPELINE, storage, "first").window == [1]
    with pytest.raises(ConflictError, match="started with window 1, not 1,2"):
        start_run(PIPELINE, storage, "first", [1, 2])
    with pytest.raises(ConflictError, match="started with other settings"):
        start_run(PIPELINE, storage, "first", [1], {"training.epochs": "2"})
    assert json.loads(storage.read(f"runs/{read_run(storage, 'first').run}/run.json"))["settings"] == FAST


def test_a_node_waits_for_what_is_upstream(trained: Path) -> None:
    from ml.errors import ComponentError

    run: LocalRun = prepare("impatient", [1])
    with pytest.raises(ComponentError, match="Trainer waits for ImportExampleGen"):
        run.run_node("Trainer")
