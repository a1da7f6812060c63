"""The audit of images with masks: it counts samples, and misses each object."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from ml import layout
from ml.audit import audit
from ml.batches import open_batch
from ml.errors import DataError
from ml.freezing import freeze
from ml.kinds.semantic_segmentation.kind import KIND
from ml.settings import Settings
from ml.settling import settle
from ml.storage import Storage
from ml.storage.local import LocalStorage
from tests.unit.data.collecting import collect
from tests.unit.data.life_of_batches import LifeOfBatches
from tests.unit.data.test_samples_of_two_objects import pair, refuse


def test_each_sample_counts_where_it_is(storage: Storage, cells: Settings) -> None:
    collect(storage, *pair("a"), *pair("b"), "no sample")
    first = freeze(storage, cells, "run 1")
    refuse(storage, first, "images/b.png")
    settle(storage, first.id)
    collect(storage, *pair("c"))
    second = freeze(storage, cells, "run 2")
    collect(storage, *pair("d"), "images/d.jpg", "images/e.png", "masks/f.png", "another")
    storage.write("inbox/masks/c.png", b"a better mask")
    assert audit(storage, KIND).model_dump() == {
        "collected": 6,
        "inbox": 2,  # d, and what is no sample
        "batch": 1,
        "archived": 1,
        "quarantined": 2,
        "vanished": 0,
        "lost": 1,  # the mask of c, until its settling records it
        "duplicated": 0,
        "incomplete": 4,  # another image of d, e, f, and the new mask of c
        "corrected": 0,
        "ignored": 0,
        "problems": [
            f"lost: 'masks/c.png' is in the open batch {second.id} and nowhere to be found: `batch settle` records "
            "what vanished"
        ],
    }
    settle(storage, second.id)
    found = audit(storage, KIND)
    assert (found.collected, found.archived, found.incomplete, found.balanced) == (6, 2, 4, True)


def test_a_mask_that_is_lost_is_a_problem_though_its_image_is_fine(storage: Storage, cells: Settings) -> None:
    collect(storage, *pair("a"), *pair("b"))
    batch = freeze(storage, cells, "run 1")
    settle(storage, batch.id)
    storage.delete(layout.archived(batch.id, "masks/a.png"))
    found = audit(storage, KIND)
    assert (found.collected, found.archived, found.lost, found.balanced) == (2, 2, 1, False)
    assert found.problems == [f"lost: 'masks/a.png' was settled with batch {batch.id} and is nowhere to be found"]
    storage.delete(layout.archived(batch.id, "images/a.png"))
    found = audit(storage, KIND)
    assert (found.collected, found.archived, found.lost, len(found.problems)) == (2, 1, 2, 2)


def test_a_mask_that_was_truncated_in_the_archive_is_lost(storage: Storage, cells: Settings) -> None:
    collect(storage, *pair("a"))
    batch = freeze(storage, cells, "run 1")
    settle(storage, batch.id)
    storage.write(layout.archived(batch.id, "masks/a.png"), b"")
    found = audit(storage, KIND)
    assert (found.lost, found.balanced) == (1, False)
    assert "changed after it was settled" in found.problems[0]


def test_a_mask_in_two_places_is_a_problem_though_its_image_is_fine(
    storage: Storage, root: Path, cells: Settings
) -> None:
    collect(storage, *pair("a"), *pair("b"))
    batch = freeze(storage, cells, "run 1")
    settle(storage, batch.id)
    storage.write(layout.quarantined(batch.id, "masks/a.png"), b"masks/a.png")
    os.link(root / layout.archived(batch.id, "masks/b.png"), root / "inbox" / "masks" / "b.png")
    found = audit(storage, KIND)
    assert (found.collected, found.archived, found.duplicated, found.lost) == (2, 2, 2, 0)
    assert found.problems == [
        "duplicated: 'masks/a.png' is in the archive and in quarantine",
        "duplicated: 'masks/b.png' is in the inbox again, though it was settled",
    ]


def test_samples_of_a_batch_whose_documents_were_cleared_away_count_once(storage: Storage, cells: Settings) -> None:
    collect(storage, *pair("a"), *pair("b"))
    batch = freeze(storage, cells, "run 1")
    settle(storage, batch.id)
    storage.delete_tree(layout.batch(batch.id))
    found = audit(storage, KIND)
    assert (found.collected, found.archived, found.balanced) == (2, 2, True)


def test_an_audit_balances_while_batches_are_frozen_and_settled(storage: Storage, cells: Settings) -> None:
    samples = 100 if storage.root.startswith("file:") else 10
    found = []
    working = threading.Event()
    working.set()

    def keep_auditing() -> None:
        while working.is_set():
            found.append(audit(storage, KIND))
        found.append(audit(storage, KIND))

    auditor = threading.Thread(target=keep_auditing)
    auditor.start()
    try:
        for run in range(3):
            collect(storage, *(name for number in range(samples) for name in pair(str(number))))
            settle(storage, freeze(storage, cells, f"run {run}").id)
    finally:
        working.clear()
        auditor.join()
    assert [problem for taken in found for problem in taken.problems] == []
    assert (found[-1].archived, found[-1].incomplete) == (3 * samples, 0)


class LifeOfPairs(LifeOfBatches):
    """Whatever comes in whatever order: every image with its mask is found, once, and what has no counterpart waits."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.storage = LocalStorage(Path(self.folder.name))
        self.settings = Settings.model_validate(
            {"name": "cells", "kind": "semantic_segmentation", "data": {"max_refused_share": 1}}
        )
        self.images: set[int] = set()
        self.masks: set[int] = set()
        self.strays = self.runs = 0

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(number=st.integers(0, 9), size=st.integers(0, 3), extension=st.sampled_from(["png", "JPG"]))
    def collect_image(self, number: int, size: int, extension: str) -> None:
        if number not in self.images:
            self.images.add(number)
            self.storage.write(f"inbox/images/{number} ü.{extension}", b"x" * size)

    @rule(number=st.integers(0, 9), size=st.integers(0, 3))
    def collect_mask(self, number: int, size: int) -> None:
        if number not in self.masks:
            self.masks.add(number)
            self.storage.write(f"inbox/masks/{number} ü.png", b"x" * size)

    @rule(name=st.sampled_from(["{}.png", "masks/{}.txt", "masks/deep/{}.png"]))
    def collect_what_is_no_sample(self, name: str) -> None:
        self.strays += 1
        self.storage.write(layout.inbox(name.format(self.strays)), b"content")

    @precondition(lambda self: open_batch(self.storage) is None)
    @rule(limit=st.sampled_from([None, 1, 2]))
    def freeze(self, limit: int | None) -> None:
        self.runs += 1
        waiting = len(self.images ^ self.masks)
        try:
            assert freeze(self.storage, self.settings, f"run {self.runs}", max_samples=limit).incomplete == waiting
        except DataError:
            assert audit(self.storage, KIND).inbox == 0

    @invariant()
    def every_sample_is_in_exactly_one_place(self) -> None:
        found = audit(self.storage, KIND)
        assert found.problems == []
        assert found.collected == len(self.images & self.masks) + self.strays
        assert found.incomplete == len(self.images ^ self.masks)


LifeOfPairs.TestCase.settings = hypothesis_settings(
    deadline=None, max_examples=25, stateful_step_count=20, suppress_health_check=[HealthCheck.too_slow]
)
TestLifeOfPairs = pytest.mark.slow(LifeOfPairs.TestCase)
