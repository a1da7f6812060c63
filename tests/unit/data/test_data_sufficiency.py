"""Enough new samples? In all, and of each class; and what it costs to find out."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ml.data_sufficiency import Requirement, Stock, requirement, shortage
from ml.errors import NotFoundError
from ml.freezing import freeze
from ml.inbox import count, take_stock
from ml.kinds.image_classification.kind import KIND
from ml.settings import Settings
from ml.settings_sections import EvaluationSettings
from ml.storage import ObjectInfo, Storage

PAGE = 1_000


class PagedStorage:
    """A remote storage whose inbox holds so many samples of each class, listed in pages of :data:`PAGE`; nothing else
    is in it. ``pages`` counts those that were asked for."""

    def __init__(self, **classes: int) -> None:
        self.classes = classes
        self.pages = 0

    def child(self, prefix: str) -> PagedStorage:
        assert prefix == "inbox"
        return self

    def folders(self, prefix: str = "") -> Sequence[str]:
        return sorted(self.classes)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        for label, samples in self.classes.items():
            if prefix not in ("", label):
                continue
            for first in range(0, samples, PAGE):
                self.pages += 1
                yield from [
                    ObjectInfo(f"{label}/{number}.png", size=700, generation="1")
                    for number in range(first, min(first + PAGE, samples))
                ]

    def read(self, name: str) -> bytes:
        raise NotFoundError(name)


def state(storage: Any, needed: Requirement) -> str | None:
    return shortage(needed, take_stock(storage, KIND, needed))


@pytest.mark.parametrize(
    ("needed", "stock", "told"),
    [
        (Requirement(5), Stock(5), None),
        (Requirement(5), Stock(4), "4 of 5 samples in the inbox"),
        (Requirement(5, 2, ("a", "b")), Stock(5, {"a": 2, "b": 2}), None),
        (Requirement(5, 2, ("a", "b")), Stock(5, {"a": 2, "b": 1}), "class 'b' lacks 1 of 2"),
        (Requirement(5, 2, ("a", "b")), Stock(5, {"a": 2, "new": 2}), "class 'b' lacks 2 of 2"),
        (
            Requirement(5, 2, ("a", "b")),
            Stock(1, {"a": 1}),
            "1 of 5 samples in the inbox; class 'a' lacks 1, class 'b' lacks 2 of 2",
        ),
        (Requirement(5, 2, ("a", "b")), Stock(5, {"a": 2, "b": 2, "new": 1}), None),
        (Requirement(5, 2), Stock(5, {"a": 2, "b": 2}), None),
        (Requirement(5, 2), Stock(5, {"a": 2, "b": 1}), "class 'b' lacks 1 of 2"),
        (Requirement(5, 2), Stock(5, {"a": 2}), "samples of 1 class, and at least 2 are needed"),
        (Requirement(1, 1), Stock(0), "0 of 1 samples in the inbox; samples of 0 classes, and at least 2 are needed"),
        (
            Requirement(5, 1, tuple("abcde")),
            Stock(5),
            "class 'a' lacks 1, class 'b' lacks 1, class 'c' lacks 1, 2 more classes lack some of 1",
        ),
    ],
)
def test_what_is_missing_is_told_by_class_and_number(needed: Requirement, stock: Stock, told: str | None) -> None:
    assert shortage(needed, stock) == told


def test_an_evaluation_waits_for_as_many_as_a_verdict_needs() -> None:
    settings = EvaluationSettings(min_samples=10, min_evaluated=30, min_samples_per_class=2)
    assert requirement(settings, ["a"]) == Requirement(30, 2, ("a",))
    assert requirement(settings, None) == Requirement(30, 2, None)


def test_of_a_million_samples_no_page_is_listed_beyond_the_threshold() -> None:
    inbox: Any = PagedStorage(a=1_000_000)
    assert count(inbox, KIND, 2_500) == 2_500
    assert inbox.pages == 3


def test_each_class_costs_its_own_pages_however_many_samples_the_others_have() -> None:
    inbox: Any = PagedStorage(a=500_000, b=499_999, rare=1)
    needed = Requirement(200, 50, ("a", "b", "rare"))
    assert state(inbox, needed) == "class 'rare' lacks 49 of 50"
    assert inbox.pages == 4  # one for each class, and one for the total


def test_before_the_first_release_a_million_samples_cost_a_page_for_each_class() -> None:
    inbox: Any = PagedStorage(a=500_000, b=500_000)
    assert state(inbox, Requirement(200, 50)) is None
    assert inbox.pages == 3


def test_counting_all_of_a_million_names_takes_no_memory_for_them() -> None:
    inbox: Any = PagedStorage(a=200_000)
    tracemalloc.start()
    take_stock(inbox, KIND, Requirement(1_000_000, 1_000_000, ("a",)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert inbox.pages == 400
    assert peak < 2_000_000  # a page is some 300 kB; all the names would be 60 MB


def test_a_class_that_only_has_unusable_or_frozen_names_has_no_samples(storage: Storage, settings: Settings) -> None:
    for name in ("a/1.png", "b/1.png", "b/2.txt", "c/readme.txt"):
        storage.write(f"inbox/{name}", b"not looked into")
    needed = Requirement(1, 1, ("a", "b", "c"))
    assert state(storage, needed) == "class 'c' lacks 1 of 1"
    assert state(storage, Requirement(1, 1)) is None, "before the first release, a folder without samples is no class"
    freeze(storage, settings, "run 1")
    storage.write("inbox/a/2.png", b"a new one")
    assert state(storage, needed) == "class 'b' lacks 1, class 'c' lacks 1 of 1"


def test_labels_with_spaces_quotes_and_unicode_are_counted_by_themselves(storage: Storage) -> None:
    labels = ('it\'s a "cat"', "größer", "日本 語")
    for label in labels:
        storage.write(f"inbox/{label}/1.png", b"not looked into")
    assert take_stock(storage, KIND, Requirement(3, 1, labels)) == Stock(3, dict.fromkeys(labels, 1))
