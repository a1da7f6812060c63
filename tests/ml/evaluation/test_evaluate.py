"""From a predicted batch to its verdict and reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ml import layout
from ml.errors import DataError, NotFoundError
from ml.evaluation.evaluate import evaluate
from ml.evaluation.records import EvaluationReport
from ml.home import PROJECT
from ml.prediction.documents import Predictions, write_predictions
from ml.records import Verdict
from ml.settings import Settings
from ml.settings_sections import EvaluationSettings
from tests.ml.evaluation.evaluation_batches import BATCH, Sample, right, world, wrong

JSON = layout.batch(BATCH, layout.REPORT_JSON)
HTML = layout.batch(BATCH, layout.REPORT_HTML)


def rules(**changes: Any) -> Settings:
    section = EvaluationSettings(**{"min_evaluated": 10, **changes})
    return Settings(name="p", kind="image_classification", evaluation=section)


def test_a_good_release_passes(tmp_path: Path) -> None:
    report = evaluate(world(tmp_path, right(60)).storage, rules(), BATCH)
    assert report.verdict is Verdict.PASS
    assert (report.metric.value, report.version, report.window) == (1.0, 1, [1])


def test_a_bad_one_is_degraded(tmp_path: Path) -> None:
    report = evaluate(world(tmp_path, [*right(30), *wrong(30)]).storage, rules(), BATCH)
    assert report.verdict is Verdict.DEGRADED
    assert report.confusion["a"] == {"a": 10, "b": 10}


def test_other_label_shares_are_drift(tmp_path: Path) -> None:
    report = evaluate(world(tmp_path, [Sample("a", "a")] * 60).storage, rules(), BATCH)
    assert report.verdict is Verdict.DRIFTED
    assert {drift.feature for drift in report.drift if drift.exceeded} == {"labels", "predictions"}


def test_other_images_are_drift_only_where_the_settings_limit_it(tmp_path: Path) -> None:
    storage = world(tmp_path, right(60, brightness=200)).storage
    assert evaluate(storage, rules(), BATCH).verdict is Verdict.PASS
    report = evaluate(storage, rules(max_image_drift=0.5), BATCH)
    assert report.verdict is Verdict.DRIFTED
    assert "brightness" in {drift.feature for drift in report.drift if drift.exceeded}


@pytest.mark.parametrize("samples", [[], [Sample(None, None)] * 5, [Sample("a", None)] * 5, right(9)])
def test_nothing_or_too_little_is_insufficient(tmp_path: Path, samples: list[Sample]) -> None:
    here = world(tmp_path, samples)
    report = evaluate(here.storage, rules(), BATCH)
    assert report.verdict is Verdict.INSUFFICIENT_DATA
    assert here.storage.exists(HTML)


def test_failed_predictions_are_reported_with_their_reason(tmp_path: Path) -> None:
    report = evaluate(world(tmp_path, [*right(60), *[Sample("a", None)] * 5]).storage, rules(), BATCH)
    assert (report.counts.evaluated, report.counts.failed, report.counts.samples) == (60, 5, 65)
    assert [(failure.count, failure.message) for failure in report.failures] == [(5, "can't be decoded")]
    assert any("5 of 65 predictions failed" in reason for reason in report.reasons)


def test_the_document_reads_back_as_what_was_decided(tmp_path: Path) -> None:
    here = world(tmp_path, [*right(30), *wrong(5), Sample("unknown", "a"), Sample("a", None)])
    report = evaluate(here.storage, rules(), BATCH)
    assert EvaluationReport.from_json(here.storage.read(JSON)) == report
    assert json.loads(here.storage.read(JSON))["verdict"] == report.verdict.value


def test_a_repeat_finds_its_finished_report(tmp_path: Path) -> None:
    here = world(tmp_path, right(30))
    first = evaluate(here.storage, rules(), BATCH)
    written = here.storage.stat(JSON), here.storage.stat(HTML)
    assert evaluate(here.storage, rules(), BATCH) == first
    assert (here.storage.stat(JSON), here.storage.stat(HTML)) == written


def test_a_repeat_after_a_crash_between_the_two_files_finishes(tmp_path: Path) -> None:
    here = world(tmp_path, wrong(30))
    first = evaluate(here.storage, rules(), BATCH)
    here.storage.delete(JSON)
    again = evaluate(here.storage, rules(), BATCH)
    assert again.model_copy(update={"created": first.created}) == first


def test_a_report_of_an_earlier_version_of_respan_is_replaced(tmp_path: Path) -> None:
    here = world(tmp_path, right(30))
    here.storage.write(JSON, (PROJECT / "tests/evaluation_version_1.json").read_bytes())
    report = evaluate(here.storage, rules(), BATCH)
    assert (report.verdict, report.schema_version) == (Verdict.PASS, 2)
    assert EvaluationReport.from_json(here.storage.read(JSON)) == report


def test_other_settings_are_judged_anew(tmp_path: Path) -> None:
    here = world(tmp_path, [*right(57), *wrong(3)])
    assert evaluate(here.storage, rules(), BATCH).verdict is Verdict.PASS
    assert evaluate(here.storage, rules(threshold=0.99), BATCH).verdict is Verdict.DEGRADED


def test_other_predictions_are_judged_anew(tmp_path: Path) -> None:
    here = world(tmp_path, right(30))
    evaluate(here.storage, rules(), BATCH)
    here.lines = world(tmp_path / "other", wrong(30)).lines
    here.predictions()
    assert evaluate(here.storage, rules(), BATCH).verdict is Verdict.DEGRADED


def test_it_is_the_same_once_the_batch_is_archived(tmp_path: Path) -> None:
    here = world(tmp_path, wrong(30))
    first = evaluate(here.storage, rules(), BATCH)
    for info in list(here.storage.list(layout.INBOX)):
        here.storage.move(info.name, layout.archived(BATCH, info.name.split("/", 1)[1]))
    here.storage.delete(JSON)
    page = here.storage.read(HTML)
    assert evaluate(here.storage, rules(), BATCH).drift == first.drift
    assert here.storage.read(HTML).count(b"data:image/png") == page.count(b"data:image/png") == 24


def test_images_that_vanished_leave_no_picture_and_no_error(tmp_path: Path) -> None:
    here = world(tmp_path, wrong(30), pictures=False)
    report = evaluate(here.storage, rules(), BATCH)
    assert len(report.worst) == 24
    assert b"no picture" in here.storage.read(HTML)


def test_an_image_limit_with_no_image_to_measure_is_an_error(tmp_path: Path) -> None:
    here = world(tmp_path, right(30), pictures=False)
    with pytest.raises(DataError, match="no sample of the batch"):
        evaluate(here.storage, rules(max_image_drift=0.5), BATCH)


def test_an_unknown_batch_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no batch 'nothing'"):
        evaluate(world(tmp_path, right(3)).storage, rules(), "nothing")


def test_unfinished_predictions_are_an_error(tmp_path: Path) -> None:
    here = world(tmp_path, right(30))
    here.storage.delete(layout.batch(BATCH, layout.PREDICTIONS_RECORD))
    with pytest.raises(NotFoundError, match="no finished predictions"):
        evaluate(here.storage, rules(), BATCH)


def test_predictions_that_are_not_what_their_record_tells_are_an_error(tmp_path: Path) -> None:
    here = world(tmp_path, right(30))
    write_predictions(here.storage, BATCH, Predictions(version=1, predicted=29, failed=1))
    with pytest.raises(DataError, match="record tells 29 and 1"):
        evaluate(here.storage, rules(), BATCH)


@pytest.mark.parametrize("name", [layout.span(1, layout.SPAN_STATISTICS), layout.release_reference(1)])
def test_a_missing_reference_is_an_error_not_an_absence_of_drift(tmp_path: Path, name: str) -> None:
    here = world(tmp_path, right(30))
    here.storage.delete(name)
    with pytest.raises(NotFoundError):
        evaluate(here.storage, rules(), BATCH)
    assert not here.storage.exists(JSON)


def test_a_damaged_reference_is_an_error(tmp_path: Path) -> None:
    here = world(tmp_path, right(30))
    here.storage.write(layout.span(1, layout.SPAN_STATISTICS), b"PK not a zip")
    with pytest.raises(DataError, match=r"span 1's statistics\.npz is damaged \("):
        evaluate(here.storage, rules(), BATCH)
