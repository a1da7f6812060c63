"""What a training run was started with, and why, is written once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ml import layout
from ml.errors import DataError, NotFoundError
from ml.records import Span, TrainingCause, now
from ml.runs import TrainingRun, read_run, start_run
from ml.spans.truths import LeftOut
from ml.storage import Storage
from tests.unit.data.published_spans import publish_span

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


def test_a_run_records_what_its_window_leaves_out_and_what_it_is_compared_on(start: Start, storage: Storage) -> None:
    publish_span(storage, 2, {"a": "3", "b": "8"}, {"c": "3"})
    publish_span(storage, 3, {"a": "8", "d": "3"}, {"c": "3"})
    publish_span(storage, 4, {"e": "8"}, {"f": "3"})
    begun = start("run 1", window=[2, 3])
    assert (begun.left_out, begun.comparison) == (LeftOut(corrected=1, repeated=1), [1, 2, 3, 4])
    assert read_run(storage, "run 1") == begun
    limited = start("run 2", window=[2], settings={"training.comparison_spans": "1"})
    assert limited.comparison == [2, 4]


def test_a_run_on_a_window_that_lacks_something_does_not_start(start: Start, storage: Storage) -> None:
    publish_span(storage, 2, {"a": "3", "b": "8"}, {"c": "9"})
    with pytest.raises(
        DataError, match=r"window 2 has eval examples of the class '9' \(span 2\), and no train examples"
    ):
        start("run 1", window=[2])
    with pytest.raises(NotFoundError):
        read_run(storage, "run 1")
