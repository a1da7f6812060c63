"""Copies and training data prove nothing: they are in no figure, and they are named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import layout
from ml.batches import read_lines, read_refusals
from ml.errors import DataError
from ml.evaluation.contents import Contents
from ml.evaluation.evaluate import evaluate
from ml.evaluation.intervals import wilson
from ml.evaluation.known import Standing, stand
from ml.records import OpenBatch, Refusal, Verdict, now
from ml.settings import Settings
from ml.settings_sections import EvaluationSettings
from ml.settling import return_batch
from ml.storage import Storage
from tests.ml.evaluation.evaluation_batches import BATCH, CLASSES, Sample, World, right, world, wrong


def rules(**changes: Any) -> Settings:
    section = EvaluationSettings(**{"min_evaluated": 10, "max_known_share": 1, "threshold": 0.5, **changes})
    return Settings(name="p", kind="image_classification", evaluation=section)


def thrice(right_ones: int, wrong_ones: int) -> list[Sample]:
    """Each picture three times, so many predicted right and so many wrong."""
    return [
        Sample(CLASSES[picture % 3], CLASSES[(picture + (picture >= right_ones)) % 3], picture=1000 + picture)
        for _ in range(3)
        for picture in range(right_ones + wrong_ones)
    ]


def left_out(storage: Storage) -> list[Refusal]:
    return list(read_lines(storage, layout.batch(BATCH, layout.LEFT_OUT), Refusal))


def test_equal_content_counts_once_in_every_figure(tmp_path: Path) -> None:
    report = evaluate(world(tmp_path, thrice(20, 10)).storage, rules(), BATCH)
    assert (report.counts.samples, report.counts.evaluated, report.counts.copies) == (90, 30, 60)
    assert report.counts.correct == 20
    assert report.metric.interval == wilson(20, 30, 0.95)
    assert sum(score.count for score in report.classes) == 30
    assert sum(count for row in report.confusion.values() for count in row.values()) == 30
    assert {drift.samples for drift in report.drift} == {30}
    assert len(report.worst) == 10
    assert any("60 of 90 samples (66.67%) are copies" in reason for reason in report.reasons)


def test_the_copies_are_named_with_the_first_of_their_content(tmp_path: Path) -> None:
    here = world(tmp_path, thrice(20, 0))
    report = evaluate(here.storage, rules(), BATCH)
    every = left_out(here.storage)
    assert [one.index for one in every] == list(range(20, 60))
    assert "a copy of a/0.png" in every[0].reason
    assert [one.object for one in report.left_out] == [one.object for one in every[:20]]
    assert "a/18.png" not in {one.object for one in every}
    page = here.storage.read(layout.batch(BATCH, layout.REPORT_HTML)).decode()
    assert "The first 20 of 40" in page
    assert "66.7% of the samples, left out" in page


def test_what_the_release_was_trained_on_is_left_out_and_named(tmp_path: Path) -> None:
    here = world(tmp_path, [*wrong(10), *right(30)])
    here.trained_on(range(10, 25), evaluated_on=range(25, 30))
    report = evaluate(here.storage, rules(), BATCH)
    assert (report.counts.trained, report.counts.evaluated, report.counts.correct) == (15, 25, 15)
    assert [one.index for one in left_out(here.storage)] == list(range(10, 25))
    assert "release 1 was trained on" in left_out(here.storage)[0].reason
    assert any("15 of 40 samples (37.50%) are of content that the release was trained on" in r for r in report.reasons)


def test_a_corrected_label_is_told_apart_from_a_repeat(tmp_path: Path) -> None:
    here = world(tmp_path, right(30))
    here.trained_on(range(1), label=right(30)[0].label)
    evaluate(here.storage, rules(), BATCH)
    assert [one.reason for one in left_out(here.storage)] == ["release 1 was trained on the same content"]
    here.trained_on(range(1), label="another")
    here.storage.delete(layout.batch(BATCH, layout.REPORT_JSON))
    report = evaluate(here.storage, rules(), BATCH)
    assert report.counts.trained == 1
    assert "with another label or mask: to correct that" in left_out(here.storage)[0].reason


def test_only_the_spans_of_the_releases_window_were_trained_on(tmp_path: Path) -> None:
    here = world(tmp_path, right(30))
    here.trained_on([])
    here.trained_on(range(30), span=2)
    assert evaluate(here.storage, rules(), BATCH).counts.trained == 0


def test_a_large_share_is_no_verdict_and_a_small_one_is(tmp_path: Path) -> None:
    here = world(tmp_path, thrice(20, 0))
    report = evaluate(here.storage, rules(max_known_share=0.5), BATCH)
    assert report.verdict is Verdict.INSUFFICIENT_DATA
    assert "40 of 60 samples prove nothing (66.67%), more than the 50% allowed" in report.reasons[0]
    assert evaluate(here.storage, rules(max_known_share=0.7), BATCH).verdict is Verdict.PASS
    assert EvaluationSettings().max_known_share == 0.5


def test_without_a_verdict_they_go_to_quarantine_and_not_into_the_next_batch(tmp_path: Path) -> None:
    here = world(tmp_path, thrice(20, 0))
    here.storage.write(layout.OPEN_BATCH, OpenBatch(batch=BATCH, since=now()).to_json())
    evaluate(here.storage, rules(max_known_share=0.5), BATCH)
    returned = return_batch(here.storage, BATCH, quarantine_refused=True)
    assert returned is not None
    assert returned.settlement is not None
    assert returned.settlement.quarantined == 40
    assert len(list(here.storage.list(layout.INBOX))) == 20


def test_with_a_verdict_none_of_them_is_refused(tmp_path: Path) -> None:
    here = world(tmp_path, thrice(20, 0))
    evaluate(here.storage, rules(max_known_share=0.5), BATCH)
    assert len(read_refusals(here.storage, BATCH)) == 40
    evaluate(here.storage, rules(), BATCH)
    assert read_refusals(here.storage, BATCH) == {}


def test_of_copies_with_different_labels_none_counts(tmp_path: Path) -> None:
    disagreeing = [Sample("a", "a", picture=1000), Sample("b", "a", picture=1000)]
    report = evaluate(world(tmp_path, [*right(30), *disagreeing]).storage, rules(), BATCH)
    assert (report.counts.contradicted, report.counts.evaluated, report.counts.correct) == (2, 30, 30)
    assert any("2 of 32 samples (6.25%)" in reason and "different labels" in reason for reason in report.reasons)


def test_failures_of_copies_are_counted_once_too(tmp_path: Path) -> None:
    failed = [Sample("a", None, picture=1000)] * 3
    report = evaluate(world(tmp_path, [*right(30), *failed]).storage, rules(), BATCH)
    assert (report.counts.failed, report.counts.copies) == (1, 2)
    assert [failure.count for failure in report.failures] == [1]


def test_samples_that_can_not_be_read_stand_for_themselves(tmp_path: Path) -> None:
    report = evaluate(world(tmp_path, thrice(20, 0), pictures=False).storage, rules(), BATCH)
    assert (report.counts.evaluated, report.counts.copies) == (60, 0)


def test_a_repeat_finds_the_contents_and_a_changed_setting_looks_again(tmp_path: Path) -> None:
    here = world(tmp_path, thrice(20, 0))
    evaluate(here.storage, rules(), BATCH)
    written = here.storage.stat(layout.batch(BATCH, layout.CONTENTS))
    for info in list(here.storage.list(layout.INBOX)):
        here.storage.delete(info.name)
    assert evaluate(here.storage, rules(threshold=0.4), BATCH).counts.copies == 40
    assert here.storage.stat(layout.batch(BATCH, layout.CONTENTS)) == written
    smaller = rules()
    smaller = smaller.model_copy(update={"data": smaller.data.model_copy(update={"max_sample_pixels": 63})})
    assert evaluate(here.storage, smaller, BATCH).counts.copies == 0


def test_a_span_without_its_list_of_samples_is_named(tmp_path: Path) -> None:
    report = evaluate(world(tmp_path, right(30)).storage, rules(), BATCH)
    assert any("span 1 has no list of its samples" in reason for reason in report.reasons)


@pytest.mark.parametrize("data", [b"no gzip", b"\x1f\x8b\x08"])
def test_a_damaged_list_of_samples_is_an_error(tmp_path: Path, data: bytes) -> None:
    here = world(tmp_path, right(30))
    here.storage.write(layout.span(1, layout.SPAN_SAMPLES), data)
    with pytest.raises(DataError, match=r"samples\.jsonl\.gz can't be read"):
        evaluate(here.storage, rules(), BATCH)


def test_predictions_of_a_job_are_treated_alike(tmp_path: Path) -> None:
    here: World = world(tmp_path, thrice(20, 10))
    lines = here.lines
    here.predicted_by_a_job(lines[:40], lines[40:], failed=[])
    report = evaluate(here.storage, rules(), BATCH)
    assert (report.counts.evaluated, report.counts.copies, report.counts.correct) == (30, 60, 20)


COUNTED, COPY, TRAINED, CONTRADICTED, CORRECTED = Standing

#: Content → truth of what a span holds to train on.
Span = dict[int, int]


@pytest.mark.parametrize(
    ("content", "truth", "trained", "standings", "originals"),
    [
        ([5, 6, 5], [1, 1, 1], [], [COUNTED, COUNTED, COPY], [0, 1, 0]),
        ([0, 0, 5], [0, 0, 1], [{0: 1}], [COUNTED, COUNTED, COUNTED], [0, 1, 2]),
        ([5, 6, 5, 5], [1, 1, 2, 1], [], [CONTRADICTED, COUNTED, CONTRADICTED, CONTRADICTED], [0, 1, 0, 0]),
        ([5, 6, 5], [1, 1, 1], [{5: 1, 7: 2}], [TRAINED, COUNTED, TRAINED], [0, 1, 0]),
        ([5, 6], [1, 1], [{5: 2}], [CORRECTED, COUNTED], [0, 1]),
        ([5, 6], [1, 1], [{5: 2}, {5: 1}], [TRAINED, COUNTED], [0, 1]),
        ([5, 6], [1, 1], [{5: 1}, {5: 2}], [CORRECTED, COUNTED], [0, 1]),
        ([5, 6], [1, 1], [{5: 0}], [TRAINED, COUNTED], [0, 1]),
        ([], [], [{7: 1}], [], []),
    ],
)
def test_how_samples_stand(
    content: Sequence[int], truth: Sequence[int], trained: Sequence[Span], standings: list[int], originals: list[int]
) -> None:
    contents = Contents(np.array(content, np.uint64), np.array(truth, np.uint64))
    spans = [
        Contents(np.array(sorted(span), np.uint64), np.array([span[one] for one in sorted(span)], np.uint64))
        for span in trained
    ]
    found = stand(contents, spans)
    assert (found[0].tolist(), found[1].tolist()) == (standings, originals)
