"""Windows name their spans exactly, as numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import windows
from ml.errors import SettingsError
from ml.storage import Storage

NUMBERS = st.lists(st.integers(min_value=1, max_value=10**6), max_size=30)


def complete(storage: Storage, *numbers: int) -> None:
    for number in numbers:
        storage.write(f"spans/span-{number}/span.json", b"{}")


def test_prior_art_1_span_10_is_newer_than_span_9(storage: Storage) -> None:
    complete(storage, 8, 9, 10)
    assert windows.window(storage, 1) == [10]
    assert windows.complete_spans(storage) == [8, 9, 10]


def test_prior_art_2_the_window_of_span_10_holds_no_span_1(storage: Storage) -> None:
    complete(storage, 1, 9, 10)
    assert windows.window(storage, 2) == [9, 10]


@pytest.mark.parametrize(("last", "window"), [(2, [1, 2]), (10, [9, 10]), (101, [100, 101])])
def test_the_window_is_the_newest_spans_whatever_their_numbers(storage: Storage, last: int, window: list[int]) -> None:
    complete(storage, *range(1, last + 1))
    assert windows.window(storage, 2) == window


def test_a_span_without_its_document_is_not_in_the_window(storage: Storage) -> None:
    complete(storage, 1, 3)
    storage.write("spans/span-4/train/data.tfrecord.gz", b"half a span")
    storage.write("spans/span-03/span.json", b"{}")
    storage.write("spans/other/span.json", b"{}")
    assert windows.window(storage, 2) == [1, 3]


def test_an_empty_store_has_an_empty_window(storage: Storage) -> None:
    assert windows.window(storage, 2) == []


def test_an_empty_window_can_not_be_asked_for(storage: Storage) -> None:
    with pytest.raises(SettingsError):
        windows.window(storage, 0)
    with pytest.raises(SettingsError):
        windows.newest([1], 0)


@given(numbers=NUMBERS, count=st.integers(min_value=1, max_value=40))
def test_newest_are_the_largest_ascending_and_none_is_left_out(numbers: list[int], count: int) -> None:
    found = windows.newest(numbers, count)
    left = set(numbers) - set(found)
    assert len(found) == min(count, len(set(numbers)))
    assert found == sorted(found)
    assert all(out < kept for out in left for kept in found)


@given(numbers=NUMBERS.filter(bool))
def test_a_window_reads_back_as_it_was_written(numbers: list[int]) -> None:
    window = windows.newest(numbers, len(numbers))
    assert windows.parse(windows.format(window)) == window


@pytest.mark.parametrize("text", ["", ",", "1,", "0", "-1", "01", "1-3", "a", "1;2", "1,2\n3", "²"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="9,10"):
        windows.parse(text)


def test_spaces_repeats_and_order_in_a_window_do_not_matter() -> None:
    assert windows.parse("10, 9,9") == [9, 10]
