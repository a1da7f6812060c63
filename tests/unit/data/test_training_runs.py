"""What a training run was started with, and why, is written once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ml import layout
from ml.records import Span, TrainingCause, now
from ml.runs import TrainingRun, read_run, start_run
from ml.storage import Storage

PIPELINE = "digits"
Start = Callable[..., TrainingRun]


@pytest.fixture
def start(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts a run of a pipeline that has one complete span."""
    folder = tmp_path / "pipelines" / PIPELINE
    folder.mkdir(parents=True)
    (folder / "settings.yaml").write_text("kind: image_classification\n")
    (folder / "settings.py").write_text("from pydantic import BaseModel\nclass ModelSettings(BaseModel): pass\n")
    monkeypatch.setenv("RESPAN_PIPELINES", str(folder.parent))
    span = Span(span=1, batch="b", created=now(), classes={}, train=1, eval=1, duplicates=0, refused=0)
    storage.write(layout.span(1, layout.SPAN), span.to_json())
    return lambda run_id, **why: start_run(PIPELINE, storage, run_id, **why)


def test_the_cause_and_the_reason_are_in_the_runs_record(start: Start, storage: Storage) -> None:
    started = start("run 1", cause=TrainingCause.DRIFT, reason="DRIFTED: the light has changed")
    found = read_run(storage, "run 1")
    assert found == started
    assert (found.cause, found.reason) == (TrainingCause.DRIFT, "DRIFTED: the light has changed")


@pytest.mark.parametrize("cause", TrainingCause)
def test_without_a_reason_a_cause_speaks_for_itself(start: Start, cause: TrainingCause) -> None:
    assert start("run 1", cause=cause).reason == cause.meaning


def test_a_run_that_a_person_starts_is_manual(start: Start) -> None:
    assert start("run 1").cause is TrainingCause.MANUAL


def test_later_steps_of_the_run_keep_the_first_cause(start: Start) -> None:
    first = start("run 1", cause=TrainingCause.SCHEDULE)
    assert start("run 1") == first
