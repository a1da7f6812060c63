"""What classifiers share works whatever a sample is; these are of rows of numbers, without a picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml import layout
from ml.batches import write_lines
from ml.errors import DataError
from ml.kinds.classification.answers import Answer
from ml.kinds.kind import Collected, Refused
from ml.prediction.documents import Predictions, write_predictions
from ml.prediction.lines import Instance, Line, encode_lines
from ml.records import ManifestEntry, ReleaseRecord, now
from ml.settings import Settings
from ml.storage import Storage, open_storage
from tests.ml.classification.rows import CLASSES, Rows, example, save, write_examples

KIND = Rows()
SETTINGS = Settings(name="rows", kind="own")
RELEASE = ReleaseRecord(version=1, run="r", window=[1], created=now(), metrics={}, classes=CLASSES, code="0")
BATCH = "rows-0123abcd"


def test_a_model_is_accepted_with_the_answers_to_its_examples(tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples", [example(row) for row in (b"1,2", b"-1", b"3")])
    acceptance = KIND.accept(SETTINGS, save(tmp_path / "model"), examples, 100)
    assert acceptance.classes == CLASSES
    assert acceptance.predicted == {"above": 2.0, "below": 1.0}


def test_it_is_asked_for_no_more_than_is_wanted(tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples", [example(b"1")] * 9)
    assert KIND.accept(SETTINGS, save(tmp_path / "model"), examples, 4).predicted == {"above": 4.0}


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([], "holds no examples"),
        ([example(b"1", "number")], "lacks the feature row"),
        ([example(b"x")], "not load and"),
    ],
)
def test_a_model_without_answers_is_refused(tmp_path: Path, records: list[bytes], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        KIND.accept(SETTINGS, save(tmp_path / "model"), write_examples(tmp_path / "examples", records), 100)


def batch(folder: Path, rows: dict[str, bytes], predicted: list[str]) -> Storage:
    """A predicted batch; objects are named as in the inbox."""
    storage = open_storage(f"file://{folder}")
    entries, lines = [], []
    for index, ((name, data), label) in enumerate(zip(rows.items(), predicted, strict=True)):
        generation = storage.write(layout.inbox(name), data).generation
        entries.append(
            ManifestEntry(
                index=index,
                object=name,
                generation=generation,
                size=len(data),
                crc32c="AAAAAA==",
                label=name.split("/")[0],
            )
        )
        lines.append(Line(Instance(index, name, generation), prediction=Answer(label, [0.75, 0.25])))
    write_lines(storage, layout.batch(BATCH, layout.MANIFEST), entries)
    storage.write(layout.batch(BATCH, layout.PREDICTIONS), encode_lines(lines))
    write_predictions(storage, BATCH, Predictions(version=1, predicted=len(lines), failed=0))
    return storage


ROWS = {"above/a.csv": b"1,2,3", "above/b.csv": b"no numbers", "below/c.csv": b"-4"}


def test_a_judgement_measures_what_the_kind_inspects_and_leaves_out_what_it_refuses(tmp_path: Path) -> None:
    storage = batch(tmp_path, ROWS, ["above", "below", "below"])
    judgement = KIND.judge(SETTINGS).judge(storage, BATCH, RELEASE)
    assert judgement.metric.name == "accuracy"
    assert judgement.metric.value == pytest.approx(2 / 3)
    found = judgement.found
    assert {name: column.tolist() for name, column in found.statistics.items()} == {"length": [3, 1], "sum": [6, -4]}
    assert (found.labels, found.predicted) == ({"above": 2, "below": 1}, {"above": 1, "below": 2})


def test_a_batch_of_which_nothing_can_be_read_any_more_has_no_statistics(tmp_path: Path) -> None:
    storage = batch(tmp_path, ROWS, ["above", "below", "below"])
    for name in ROWS:
        storage.delete(layout.inbox(name))
    assert KIND.judge(SETTINGS).judge(storage, BATCH, RELEASE).found.statistics == {}


def test_the_worst_cases_have_no_pictures_where_the_kind_draws_none(tmp_path: Path) -> None:
    storage = batch(tmp_path, ROWS, ["below", "above", "below"])
    judge = KIND.judge(SETTINGS)
    [case] = judge.cases(storage, BATCH, judge.judge(storage, BATCH, RELEASE).worst)
    assert (case.object, case.truth, case.predicted, case.score) == ("above/a.csv", "above", "below", 0.75)
    assert list(case.pictures) == []


def test_an_answer_that_is_missing_counts_as_wrong() -> None:
    scorer = KIND.scorer(SETTINGS, CLASSES)
    assert scorer.metric().value is None
    samples = [Collected((b"1",), "above"), Collected((b"",), "above"), Collected((b"2",), "below")]
    scorer.add(samples, [Answer("above", [1, 0]), Refused("it is empty"), Answer("above", [1, 0])])
    scorer.add(samples[:1], [Answer("above", [1, 0])])
    assert scorer.metric().value == 0.5
    assert scorer.further() == {}
