"""Whom a candidate is compared with, and what may be released: the whole way, from the run's start to the release."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml import layout, releases
from ml.comparison.documents import read_comparison
from ml.comparison.records import Comparison, GateDecision, Outcome
from ml.errors import ConflictError
from ml.publishing import publish
from ml.records import ClassCount
from ml.runs import read_run, start_run
from ml.spans.documents import read_span
from ml.storage import Storage
from ml.tfx.metadata import LockedMetadata
from ml.tfx.metadata_places import metadata_place
from ml.tfx.outcome import run_outcome
from tests.ml.tfx.digits_pipeline import FAST, PIPELINE, digits, example, prepare, run_all, write_span

pytestmark = pytest.mark.slow

#: What hardly learns anything, and is held to no threshold.
BAD = {"training__learning_rate": "1e-6", "training__epochs": "1", "training__blessing_threshold": "0.0"}


def compared(storage: Storage, run_id: str, **settings: str) -> Comparison:
    run_all(prepare(run_id, [1], **settings))
    found = read_comparison(storage, run_id)
    assert found is not None
    return found


def imported_champions() -> list[tuple[int, str, str]]:
    """Version, training run and URI of every champion that ML Metadata knows."""
    with LockedMetadata(metadata_place(PIPELINE)) as handle:
        models = handle.store.get_artifacts_by_type("Model")
    return [
        (model.custom_properties["version"].int_value, model.custom_properties["run"].string_value, model.uri)
        for model in models
        if model.custom_properties["version"].int_value
    ]


def test_a_candidate_is_compared_with_the_version_that_serves(finished: Storage) -> None:
    """TFX's Resolver takes the latest blessed model, also one that nobody released (tensorflow/tfx#1037)."""
    publish(PIPELINE, "first", "the first model")
    refused = compared(finished, "beside version 1", **BAD)
    assert (refused.champion, refused.outcome, refused.decision) == (1, Outcome.WORSE, GateDecision.REFUSE)
    assert refused.examples == 100
    assert not run_outcome(PIPELINE, finished, read_run(finished, "beside version 1").run).blessed
    assert publish(PIPELINE, "beside version 1") is None

    denied = compared(finished, "never released", **BAD, training__blessing_max_loss="1.0")
    assert run_outcome(PIPELINE, finished, read_run(finished, "never released").run).pushed is not None
    assert denied.champion == 1
    again = compared(finished, "after it", **BAD)
    assert again == refused, "what was blessed and never served changes nothing"

    first = read_run(finished, "first").run
    assert (1, first, finished.uri(layout.model(1))) in imported_champions()


def test_a_candidate_that_was_compared_with_another_version_is_not_released(finished: Storage) -> None:
    run = read_run(finished, "first").run
    publish(PIPELINE, "first", "the first model")
    assert compared(finished, "overtaken").champion == 1
    record = releases.read_release(finished, 1).model_copy(update={"version": 2, "run": "another"})
    releases.record_release(finished, record)
    finished.publish_stored(layout.model(1), layout.model(2), marker="saved_model.pb")
    releases.serve(finished, 2, "meanwhile")
    with pytest.raises(ConflictError, match="compared with version 1, and version 2 serves now: start a new training"):
        publish(PIPELINE, "overtaken")
    assert publish(PIPELINE, run) is not None, "a repeat of what was released before changes nothing"


def test_a_candidate_that_lost_classes_waits_for_a_person(finished: Storage, capfd: pytest.CaptureFixture[str]) -> None:
    publish(PIPELINE, "first", "the first model")
    records = [example(image, label) for image, label in digits(400, 900) if label not in "89"]
    write_span(2, [record for i, record in enumerate(records) if i % 4], records[::4])
    counted = {str(digit): ClassCount(train=30, eval=10) for digit in range(8)}
    span = read_span(finished, 2).model_copy(update={"classes": counted})
    finished.write(layout.span(2, layout.SPAN), span.to_json())

    run = start_run(PIPELINE, finished, "forgetful", [2], FAST)
    assert (run.champion, run.lost_classes) == (1, ["8", "9"])
    run_all(prepare("forgetful", [2]))
    found = read_comparison(finished, "forgetful")
    assert found is not None
    assert (found.lost_classes, found.decision) == (["8", "9"], GateDecision.ASK)
    assert "no longer knows '8', '9', which version 1 knows" in capfd.readouterr().err
    assert found.examples > len(records[::4]), "those of the champion's window are among the held-out ones"
    assert "With these its accuracy is" in found.why, "as the champion, it is also measured on the classes it lost"

    assert publish(PIPELINE, "forgetful") is None
    run_all(prepare("allowed", [2], training__may_lose_classes="['8', '9']"))
    allowed = read_comparison(finished, "allowed")
    assert allowed is not None
    assert (allowed.lost_classes, allowed.decision) == (["8", "9"], GateDecision.RELEASE)
    record = publish(PIPELINE, "forgetful", confirmed=True)
    assert record is not None
    assert (record.version, record.champion, record.lost_classes, record.confirmed) == (2, 1, ["8", "9"], True)
    assert record.comparison == found.why


def test_the_first_release_has_no_champion(trained: Path) -> None:
    from ml.home import pipeline_storage

    found = read_comparison(pipeline_storage(PIPELINE), "first")
    assert found is not None
    assert (found.champion, found.outcome, found.decision) == (None, Outcome.NO_CHAMPION, GateDecision.RELEASE)
