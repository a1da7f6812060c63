"""Joining predictions to the truth."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml import layout
from ml.errors import DataError, NotFoundError
from ml.kinds.classification import reading
from ml.kinds.classification.answers import Answer
from ml.kinds.classification.join import FAILED, REFUSED, Outcomes
from ml.kinds.classification.reading import read_outcomes
from ml.kinds.classification.scores import score
from ml.prediction.lines import Instance, Line
from tests.ml.evaluation.evaluation_batches import BATCH, CLASSES, JOB, Sample, World, keyed_line, right, world, wrong


def read(here: World, **how: Any) -> Outcomes:
    return read_outcomes(here.storage, BATCH, list(here.classes), **how)


def test_predictions_are_joined_by_key_whatever_their_order(tmp_path: Path) -> None:
    samples = [Sample("a", "b"), Sample(None, None), Sample("c", "c"), Sample("b", None), *right(30)]
    outcomes = read(world(tmp_path, samples, pictures=False))
    assert outcomes.truth.tolist()[:4] == [0, REFUSED, 2, 1]
    assert outcomes.predicted.tolist()[2:4] == [2, FAILED]
    assert outcomes.predicted[0] == 1


def parted(here: World) -> tuple[list[Line], list[Line]]:
    """The predictions, and the lines with an error."""
    return [line for line in here.lines if line.error is None], [line for line in here.lines if line.error]


def same(one: Outcomes, other: Outcomes) -> bool:
    """Whether everything that an evaluation rests on is the same, to the last digit."""
    return (one.predicted.tolist(), one.failures, one.mistakes, one.chosen) == (
        other.predicted.tolist(),
        other.failures,
        other.mistakes,
        other.chosen,
    )


def test_the_files_of_a_vertex_job_are_read_like_those_of_the_local_target(tmp_path: Path) -> None:
    samples = [*right(20), *[Sample("a", "b", probability=1 / (2 + n)) for n in range(9)], Sample("a", None)]
    here = world(tmp_path, samples, pictures=False)
    here.lines = [rounded(line) for line in here.lines]  # as the local target writes them
    here.predictions()
    local = read(here)
    answers, errors = parted(here)
    here.predicted_by_a_job(answers[:7], answers[7:], failed=errors)
    here.storage.write(f"{JOB}/prediction.errors_stats-00000-of-00001", b"('told in sum', 1)\n")
    assert same(read(here), local)


def rounded(line: Line) -> Line:
    answer = line.prediction
    if not isinstance(answer, Answer):
        return line
    shares = np.array(answer.probabilities, np.float32).astype("float64").round(7).tolist()
    return Line(line.instance, prediction=Answer(answer.label, shares))


def test_only_the_folder_that_the_record_names_is_read(tmp_path: Path) -> None:
    here = world(tmp_path, right(9), pictures=False)
    here.predicted_by_a_job(here.lines, failed=[])
    here.storage.write(f"{JOB[:-4]}999Z/prediction.results-00000-of-00001", b"an attempt that failed")
    here.storage.write(f"{JOB}x/prediction.results-00000-of-00001", b"of another job")
    assert len(read(here).predicted) == 9


def test_an_error_within_a_job_s_results_is_a_failure_with_the_code_that_its_name_stands_for(tmp_path: Path) -> None:
    here = world(tmp_path, right(3), pictures=False)
    here.predicted_by_a_job(here.lines[1:], failed=[])
    error = {"status": "UNAVAILABLE", "message": "gone\n away"}
    line = json.dumps({"key": here.lines[0].instance.key, "error": error}).encode()
    here.storage.write(f"{JOB}/prediction.results-more", line)
    assert [(one.code, one.message, one.count) for one in read(here).failures] == [(14, "gone away", 1)]


def test_a_missing_file_of_a_job_is_an_error(tmp_path: Path) -> None:
    here = world(tmp_path, right(9), pictures=False)
    here.predicted_by_a_job(here.lines[:4], here.lines[4:], failed=[])
    here.storage.delete(f"{JOB}/prediction.results-00000-of-00002")
    with pytest.raises(DataError, match="of 2 files 1 are missing, the first is number 0"):
        read(here)


@pytest.mark.parametrize("key", ["", "x", "-1", 99, "99", "٣", 1.5, "9" * 40])
def test_a_job_s_line_of_no_sample_is_an_error_that_names_it(tmp_path: Path, key: object) -> None:
    here = world(tmp_path, right(3), pictures=False)
    here.predicted_by_a_job(here.lines, failed=[])
    here.storage.write(f"{JOB}/prediction.results-more", b"\n" + keyed_line(here.lines[0], key=key))
    with pytest.raises(DataError, match=r"prediction\.results-more, line 2: "):
        read(here)


def test_predictions_of_another_batch_are_not_read(tmp_path: Path) -> None:
    here = world(tmp_path, right(3), pictures=False)
    here.storage.write(layout.batch("other-0123abcd", layout.PREDICTIONS), b"not even JSON")
    assert len(read(here).predicted) == 3


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    here = world(tmp_path, right(3), pictures=False)
    here.storage.delete(layout.batch(BATCH, layout.PREDICTIONS))
    with pytest.raises(NotFoundError, match="run `predict` first"):
        read(here)


def test_a_missing_line_is_an_error(tmp_path: Path) -> None:
    here = world(tmp_path, right(10), pictures=False)
    here.predictions(lines=here.lines[:-2])
    with pytest.raises(DataError, match="incomplete: 2 of 10"):
        read(here)


def test_a_line_cut_short_is_an_error_that_names_it(tmp_path: Path) -> None:
    here = world(tmp_path, right(10), pictures=False)
    name = layout.batch(BATCH, layout.PREDICTIONS)
    here.storage.write(name, here.storage.read(name)[:-30])
    with pytest.raises(DataError, match=r"predictions\.jsonl, line 10"):
        read(here)


def test_two_predictions_of_one_sample_are_an_error(tmp_path: Path) -> None:
    here = world(tmp_path, right(10), pictures=False)
    here.predictions(lines=[*here.lines, here.lines[4]])
    with pytest.raises(DataError, match=r"line 11: sample .* has a prediction already"):
        read(here)


@pytest.mark.parametrize("key", [-1, 3, 10**9])
def test_a_prediction_of_no_sample_is_an_error(tmp_path: Path, key: int) -> None:
    here = world(tmp_path, right(3), pictures=False)
    here.predictions(lines=[*here.lines, Line(Instance(key, "a/x.png", "1"), Answer("a", [1, 0, 0]))])
    with pytest.raises(DataError, match=f"sample {key} is not in the batch's manifest"):
        read(here)


def test_a_prediction_of_a_refused_sample_is_an_error(tmp_path: Path) -> None:
    here = world(tmp_path, [Sample(None, None), *right(3)], pictures=False)
    here.predictions(lines=[*here.lines, Line(Instance(0, "a/x.png", "1"), Answer("a", [1, 0, 0]))])
    with pytest.raises(DataError, match="or was refused"):
        read(here)


def test_a_predicted_label_that_the_release_does_not_know_is_an_error(tmp_path: Path) -> None:
    here = world(tmp_path, right(3), pictures=False)
    here.predictions(lines=[*here.lines[1:], Line(here.lines[0].instance, Answer("z", [1, 0, 0]))])
    with pytest.raises(DataError, match="label 'z' is not one of the release's classes"):
        read(here)


def test_a_line_with_neither_prediction_nor_error_is_an_error(tmp_path: Path) -> None:
    here = world(tmp_path, right(3), pictures=False)
    here.predictions(lines=[*here.lines[1:], Line(here.lines[0].instance)])
    with pytest.raises(DataError, match="neither a prediction nor an error"):
        read(here)


def test_the_worst_mistakes_are_the_most_probable_ones(tmp_path: Path) -> None:
    samples = [Sample("a", "b", probability=0.4 + number / 100) for number in range(50)]
    mistakes = read(world(tmp_path, [*samples, *right(50)], pictures=False), worst=4).mistakes
    assert [round(mistake.probability, 2) for mistake in mistakes] == [0.89, 0.88, 0.87, 0.86]
    assert {(mistake.label, mistake.predicted) for mistake in mistakes} == {("a", "b")}


def test_equally_probable_mistakes_are_taken_in_the_manifest_s_order(tmp_path: Path) -> None:
    mistakes = read(world(tmp_path, wrong(30), pictures=False), worst=3).mistakes
    assert [mistake.object for mistake in mistakes] == ["a/0.png", "b/1.png", "c/2.png"]


def test_the_samples_to_measure_are_spread_over_the_batch_and_the_same_each_time(tmp_path: Path) -> None:
    here = world(tmp_path, right(1000), pictures=False)
    chosen = [int(sample.object[2:-4]) for sample in read(here, choose=10).chosen]
    assert chosen == [int(sample.object[2:-4]) for sample in read(here, choose=10).chosen]
    assert len(chosen) == 10
    assert max(np.diff(chosen)) <= 112


def test_a_label_never_seen_is_a_mistake_and_told_apart(tmp_path: Path) -> None:
    here = world(tmp_path, [*right(9), Sample("unknown", "a")], pictures=False)
    scores = score(read(here), 0.95, 1.0)
    assert (scores.counts.correct, scores.counts.evaluated, scores.counts.unseen) == (9, 10, 1)
    assert [(one.label, one.seen) for one in scores.classes][-1] == ("unknown", False)


def test_human_level_is_by_label_and_1_where_none_is_given(tmp_path: Path) -> None:
    here = world(tmp_path, [Sample("a", "a"), Sample("a", "b"), Sample("b", "a"), Sample("b", "a")], pictures=False)
    a, b = score(read(here), 0.95, {"a": 0.8}).classes
    assert (a.human_level, a.gap, a.priority) == pytest.approx((0.8, 0.3, 0.15))
    assert (b.human_level, b.gap, b.priority) == pytest.approx((1.0, 1.0, 0.5))


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes read even a small batch."""
    monkeypatch.setattr(reading, "_WORTH_TWO", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.mark.parametrize("by_a_job", [False, True])
def test_two_processes_read_what_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_processes: None, by_a_job: bool
) -> None:
    here = world(tmp_path, [*right(200), *wrong(70), *[Sample("a", None)] * 9, Sample("unknown", "a")], pictures=False)
    if by_a_job:
        answers, errors = parted(here)
        here.predicted_by_a_job(answers[:99], answers[99:], failed=errors)
    both = read(here, choose=20)
    monkeypatch.setattr(reading, "_WORTH_TWO", 1 << 40)
    alone = read(here, choose=20)
    assert same(both, alone)


@pytest.mark.parametrize("position", [0, 150, 299])
def test_two_processes_tell_the_line_that_is_wrong(tmp_path: Path, two_processes: None, position: int) -> None:
    here = world(tmp_path, right(300), pictures=False)
    here.predictions(lines=[*here.lines, here.lines[position]])
    with pytest.raises(DataError, match=r"line 301: sample .* has a prediction already"):
        read(here)
    here.storage.write(layout.batch(BATCH, layout.PREDICTIONS), b"{}\n" * position + b"nonsense\n" + b"{}\n" * 300)
    with pytest.raises(DataError, match=r"predictions\.jsonl, line "):
        read(here)


def test_two_processes_find_unseen_labels_in_the_manifest_s_order(tmp_path: Path, two_processes: None) -> None:
    unseen = [Sample(label, "a") for label in ("x", "y", "x", "z", "w", "y", "z", "v")]
    here = world(tmp_path, [*unseen[:4], *right(90), Sample(None, "a"), *unseen[4:]], pictures=False)
    outcomes = read(here)
    assert outcomes.labels == [*CLASSES, "x", "y", "z", "w", "v"]
    told = [outcomes.labels[number] if number != REFUSED else None for number in outcomes.truth]
    assert told == ["x", "y", "x", "z", *(sample.label for sample in right(90)), None, "w", "y", "z", "v"]


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("times", [0, 2])
@pytest.mark.parametrize("position", [0, 50, 149, 150, 151, 298])
def test_a_manifest_that_lacks_or_repeats_an_entry_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_processes: None, position: int, times: int, processes: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: processes)
    here = world(tmp_path, right(300), pictures=False)
    name = layout.batch(BATCH, layout.MANIFEST)
    lines = here.storage.read(name).splitlines(keepends=True)
    here.storage.write(
        name, b"".join([*lines[:position], *lines[position : position + 1] * times, *lines[position + 1 :]])
    )
    with pytest.raises(DataError, match="not numbered from 0, one by one"):
        read(here)


def test_two_processes_tell_the_line_of_the_manifest_that_is_wrong(tmp_path: Path, two_processes: None) -> None:
    here = world(tmp_path, right(300), pictures=False)
    name = layout.batch(BATCH, layout.MANIFEST)
    lines = here.storage.read(name).splitlines(keepends=True)
    here.storage.write(name, b"".join([*lines[:250], b"nonsense\n", *lines[251:]]))
    with pytest.raises(DataError, match=r"manifest\.jsonl, line 251: "):
        read(here)


predicted = st.none() | st.sampled_from(CLASSES)
labels = st.none() | st.sampled_from([*CLASSES, "unknown"])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.builds(Sample, labels, predicted), max_size=60))
def test_the_counts_add_up(tmp_path_factory: pytest.TempPathFactory, samples: list[Sample]) -> None:
    here = world(tmp_path_factory.mktemp("counts"), samples, pictures=False)
    scores = score(read(here), 0.95, 1.0)
    usable = [sample for sample in samples if sample.label is not None]
    done = [sample for sample in usable if sample.predicted is not None]
    assert scores.counts.samples == len(usable) == sum(one.count + one.failed for one in scores.classes)
    assert scores.counts.refused == len(samples) - len(usable)
    assert scores.counts.correct == sum(sample.label == sample.predicted for sample in done)
    assert sum(scores.labels.values()) == sum(scores.predicted.values()) == scores.counts.evaluated == len(done)
    assert sum(one.share for one in scores.classes) == pytest.approx(1 if done else 0)
    assert all(one.score is None or (one.interval and one.score in one.interval) for one in scores.classes)


def test_labels_and_classes_in_other_forms_of_unicode_are_the_same(tmp_path: Path) -> None:
    """A model from before labels had one form may know a class as macOS writes it, or twice."""
    nfc, nfd = "caf\u00e9", "cafe\u0301"
    classes = (nfd, "cat", "cat ")
    samples = [Sample(nfc, nfd), Sample("cat", "cat "), Sample("cat", nfd)]
    outcomes = read(world(tmp_path, samples, classes=classes, pictures=False))
    assert outcomes.labels == list(classes)
    assert outcomes.truth.tolist() == [0, 1, 1]
    assert outcomes.predicted.tolist() == [0, 1, 0]
    assert [scored.seen for scored in score(outcomes, 0.95, 1.0).classes] == [True, True]
