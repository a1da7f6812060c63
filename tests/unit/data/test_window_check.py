"""A window that a model can't be trained and evaluated on is refused before anything runs, and says what it lacks."""

from __future__ import annotations

import pytest

from ml import layout
from ml.errors import DataError
from ml.records import ClassCount
from ml.spans.damage import DamagedSpanError
from ml.spans.truths import LeftOut
from ml.spans.window_check import check_window
from ml.storage import Storage
from tests.unit.data.published_spans import publish_span


def refusal(storage: Storage, *window: int, classes_from_train: bool = True) -> str:
    with pytest.raises(DataError) as raised:
        check_window(storage, window, classes_from_train=classes_from_train)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_class_with_eval_examples_alone_is_named_with_its_span_and_the_span_that_helps(storage: Storage) -> None:
    publish_span(storage, 1, {"a": "8", "b": "9"}, {"c": "8"})
    publish_span(storage, 2, {"d": "8", "x": "7"}, {"e": "9"})
    told = refusal(storage, 2)
    assert told.startswith("window 2 has eval examples of the class '9' (span 2), and no train examples: ")
    assert "train with --window 1,2, or collect new samples" in told
    assert check_window(storage, [1, 2], classes_from_train=True).classes["9"] == ClassCount(train=1, eval=1)


def test_without_a_span_that_helps_no_window_is_advised(storage: Storage) -> None:
    publish_span(storage, 1, {"a": "8", "b": "7"}, {"c": "8"})
    publish_span(storage, 2, {"d": "8", "x": "7"}, {"e": "9", "f": "6"})
    assert refusal(storage, 2) == (
        "window 2 has eval examples of the classes '6', '9' (span 2), and no train examples: "
        "collect new samples of what is missing and prepare a span of them"
    )


def test_a_kind_whose_classes_are_settled_may_have_one_in_eval_examples_alone(storage: Storage) -> None:
    publish_span(storage, 1, {"a": "road"}, {"b": "sky"})
    assert check_window(storage, [1], classes_from_train=False).train == 1


@pytest.mark.parametrize("classes_from_train", [True, False])
@pytest.mark.parametrize("split", ["train", "eval"])
def test_a_window_without_examples_in_a_split_is_refused(
    storage: Storage, split: str, classes_from_train: bool
) -> None:
    samples = {"a": "8", "b": "9"}
    publish_span(storage, 1, *((samples, {}) if split == "eval" else ({}, samples)))
    told = refusal(storage, 1, classes_from_train=classes_from_train)
    assert told.startswith(f"window 1 has no {split} examples: collect new samples")


def test_a_window_with_one_class_to_train_on_is_refused(storage: Storage) -> None:
    publish_span(storage, 1, {"a": "8"}, {"b": "8"})
    assert "has train examples of the class '8' only" in refusal(storage, 1)


def test_what_counts_is_what_is_left_when_newer_truths_have_replaced_older_ones(storage: Storage) -> None:
    publish_span(storage, 1, {"a": "3", "b": "8", "c": "9"}, {"d": "3", "e": "8"})
    publish_span(storage, 2, {"a": "8", "c": "9"}, {"e": "8"})
    told = refusal(storage, 1, 2)
    assert told.startswith("window 1,2 has eval examples of the class '3' (span 1), and no train examples")
    publish_span(storage, 3, {"f": "3"}, {"e": "9"})
    found = check_window(storage, [1, 2, 3], classes_from_train=True)
    assert found.classes == {
        "3": ClassCount(train=1, eval=1),
        "8": ClassCount(train=2),
        "9": ClassCount(train=1, eval=1),
    }
    assert (found.train, found.eval) == (4, 2)
    assert found.left_out == LeftOut(corrected=3, repeated=1)


@pytest.mark.parametrize("name", [layout.SPAN, layout.SPAN_SAMPLES, layout.SPAN_STATISTICS])
def test_a_span_whose_records_are_damaged_is_named(storage: Storage, name: str) -> None:
    publish_span(storage, 1, {"a": "8", "b": "9"}, {"c": "8"})
    publish_span(storage, 2, {"a": "9", "d": "8"}, {"e": "9"})
    storage.write(layout.span(1, name), storage.read(layout.span(1, name))[:-20])
    with pytest.raises(DamagedSpanError, match=rf"^span 1's {name} is damaged \(.+\): restore it from a backup, or "):
        check_window(storage, [1, 2], classes_from_train=True)


def test_statistics_of_other_examples_are_noticed(storage: Storage) -> None:
    publish_span(storage, 1, {"a": "8", "b": "9"}, {"c": "8"})
    few = storage.read(layout.span(1, layout.SPAN_STATISTICS))
    publish_span(storage, 1, {"a": "8", "b": "9", "d": "8"}, {"c": "8"})
    storage.write(layout.span(1, layout.SPAN_STATISTICS), few)
    publish_span(storage, 2, {"a": "9", "f": "8"}, {"e": "9"})
    with pytest.raises(DamagedSpanError, match=r"it has 3 rows, and samples\.jsonl\.gz names 4 examples"):
        check_window(storage, [1, 2], classes_from_train=True)
