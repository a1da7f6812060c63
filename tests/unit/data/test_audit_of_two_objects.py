"""The audit of images with masks: it counts samples, and misses each object."""

from __future__ import annotations

import os
from pathlib import Path

from ml import layout
from ml.audit import audit
from ml.freezing import freeze
from ml.kinds.semantic_segmentation.kind import KIND
from ml.settings import Settings
from ml.settling import settle
from ml.storage import Storage
from tests.unit.data.collecting import collect
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
