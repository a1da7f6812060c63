"""A kill before any request to Cloud Storage, then a retry: the same final state, and nothing half-visible."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from ml.audit import audit
from ml.batches import open_batch
from ml.freezing import freeze
from ml.kinds.image_classification.kind import KIND
from ml.kinds.semantic_segmentation.kind import KIND as PAIRS
from ml.records import Settlement
from ml.settings import Settings
from ml.settling import return_batch, settle
from ml.storage import Storage
from ml.storage.gcs import GcsStorage
from tests.unit.data.collecting import collect
from tests.unit.data.killing import killed_at_request
from tests.unit.data.test_crashes import BATCH, RUN, assert_held_while_open, refuse_one

Work = Callable[[Storage], object]


def every_kill(bucket: GcsStorage, prepare: Work, work: Work) -> Iterator[Storage]:
    """A storage for each request of ``work``, killed right before it, and left so."""
    for number in count(1):
        storage = bucket.child(f"killed-{number}")
        prepare(storage)
        if not killed_at_request(lambda storage=storage: work(storage), number):  # type: ignore[misc]
            assert number > 5, "the work hardly touches storage: this test proves nothing"
            return
        yield storage


def state(storage: Storage) -> dict[str, object]:
    """Every object, with the content of documents but for times, generations and the order of a manifest."""
    return {info.name: _timeless(storage.read(info.name)) for info in storage.list()}


def _timeless(content: bytes) -> object:
    try:
        documents = [json.loads(content)]
    except ValueError:
        try:
            documents = [json.loads(line) for line in content.splitlines()]
        except ValueError:
            return content
    changing = ("generation", "index", "frozen", "since", "at", "created")
    kept = [{key: value for key, value in document.items() if key not in changing} for document in documents]
    for document in kept:
        for part in document.get("parts", ()):
            del part["generation"]
    return sorted(json.dumps(document, sort_keys=True) for document in kept)


def fill_inbox(storage: Storage) -> None:
    collect(storage, "3/a.png", "8/ä with space.jpeg", "readme.txt")


def fill_inbox_with_pairs(storage: Storage) -> None:
    collect(storage, "images/a.png", "masks/a.png", "images/ü b.jpg", "masks/ü b.png", "masks/waits.png")


def freeze_pairs_and_refuse(storage: Storage, cells: Settings) -> None:
    fill_inbox_with_pairs(storage)
    freeze(storage, cells, RUN)
    refuse_one(storage, "images/a.png")


def assert_whole(storage: Storage) -> None:
    found = audit(storage, PAIRS)
    assert (found.collected, found.lost, found.duplicated, found.incomplete) == (2, 0, 0, 1)


def freeze_and_refuse(storage: Storage, settings: Settings) -> None:
    fill_inbox(storage)
    freeze(storage, settings, RUN)
    refuse_one(storage)


@pytest.fixture
def span(tmp_path: Path) -> Path:
    local = tmp_path / "span"
    (local / "train").mkdir(parents=True)
    (local / "train" / "data").write_bytes(b"examples")
    (local / "span.json").write_text("{}")
    return local


WHOLE = {"span.json": [json.dumps({})], "train/data": b"examples"}


@pytest.mark.slow
def test_a_publication_killed_anywhere_is_whole_or_has_no_marker_and_is_finished_by_its_retry(
    bucket: GcsStorage, span: Path
) -> None:
    def leave_another(storage: Storage) -> None:
        storage.write("spans/span-1/train/of-an-earlier-attempt", b"left")

    for storage in every_kill(bucket, leave_another, lambda s: s.publish(span, "spans/span-1", marker="span.json")):
        folder = storage.child("spans/span-1")
        if folder.exists("span.json"):
            assert state(folder) == WHOLE
        else:
            assert "span.json" not in {info.name for info in folder.list()}
            storage.publish(span, "spans/span-1", marker="span.json")
        assert state(folder) == WHOLE


@pytest.mark.slow
def test_a_publication_of_stored_objects_killed_anywhere_is_finished_by_its_retry(
    bucket: GcsStorage, span: Path
) -> None:
    def push(storage: Storage) -> None:
        storage.publish(span, "pushed", marker="span.json")

    for storage in every_kill(bucket, push, lambda s: s.publish_stored("pushed", "models/1", marker="span.json")):
        folder = storage.child("models/1")
        if not folder.exists("span.json"):
            storage.publish_stored("pushed", "models/1", marker="span.json")
        assert state(folder) == state(storage.child("pushed")) == WHOLE


def test_a_move_killed_anywhere_is_finished_by_its_retry(bucket: GcsStorage) -> None:
    def collect_one(storage: Storage) -> None:
        storage.write("inbox/a", b"sample")

    def move(storage: Storage) -> None:
        generation = storage.stat("inbox/a").generation
        storage.move("inbox/a", "archive/a", generation=generation)

    unfinished = 0
    for storage in every_kill(bucket, collect_one, move):
        names = {info.name for info in storage.list()}
        if "inbox/a" in names:
            unfinished += "archive/a" in names
            move(storage)
        assert state(storage) == {"archive/a": b"sample"}
    assert unfinished, "no kill came between copy and deletion: this test proves nothing"


@pytest.mark.slow
def test_a_freeze_killed_anywhere_is_finished_by_its_retry(bucket: GcsStorage, settings: Settings) -> None:
    whole = bucket.child("whole")
    fill_inbox(whole)
    freeze(whole, settings, RUN)
    expected = state(whole)
    for storage in every_kill(bucket, fill_inbox, lambda s: freeze(s, settings, RUN)):
        assert (audit(storage, KIND).collected, audit(storage, KIND).balanced) == (3, True)
        freeze(storage, settings, RUN)
        assert state(storage) == expected
        assert audit(storage, KIND).batch == 3


@pytest.mark.slow
def test_a_settling_killed_anywhere_is_finished_by_its_retry(bucket: GcsStorage, settings: Settings) -> None:
    whole = bucket.child("whole")
    freeze_and_refuse(whole, settings)
    settled = settle(whole, BATCH)
    expected = state(whole)
    for storage in every_kill(bucket, lambda s: freeze_and_refuse(s, settings), lambda s: settle(s, BATCH)):
        after_the_kill = audit(storage, KIND)
        assert (after_the_kill.collected, after_the_kill.lost, after_the_kill.duplicated) == (3, 0, 0)
        assert_held_while_open(storage)
        assert settle(storage, BATCH).settlement == settled.settlement
        assert state(storage) == expected
        assert open_batch(storage) is None
        after_the_retry = audit(storage, KIND)
        assert (after_the_retry.archived, after_the_retry.quarantined, after_the_retry.balanced) == (1, 2, True)


@pytest.mark.slow
def test_a_return_killed_anywhere_is_finished_by_its_retry(bucket: GcsStorage, settings: Settings) -> None:
    for storage in every_kill(
        bucket,
        lambda s: freeze_and_refuse(s, settings),
        lambda s: return_batch(s, BATCH, quarantine_refused=True),
    ):
        after_the_kill = audit(storage, KIND)
        assert (after_the_kill.collected, after_the_kill.lost, after_the_kill.duplicated) == (3, 0, 0)
        assert_held_while_open(storage)
        return_batch(storage, BATCH, quarantine_refused=True)
        after_the_retry = audit(storage, KIND)
        assert (after_the_retry.inbox, after_the_retry.quarantined, after_the_retry.balanced) == (1, 2, True)
        assert freeze(storage, settings, "the next run").samples == 1


@pytest.mark.slow
def test_a_freeze_of_pairs_killed_anywhere_is_finished_by_its_retry(bucket: GcsStorage, cells: Settings) -> None:
    whole = bucket.child("whole")
    fill_inbox_with_pairs(whole)
    freeze(whole, cells, RUN)
    expected = state(whole)
    for storage in every_kill(bucket, fill_inbox_with_pairs, lambda s: freeze(s, cells, RUN)):
        assert_whole(storage)
        freeze(storage, cells, RUN)
        assert state(storage) == expected
        assert_whole(storage)


@pytest.mark.slow
def test_a_settling_of_pairs_killed_anywhere_is_finished_by_its_retry(bucket: GcsStorage, cells: Settings) -> None:
    whole = bucket.child("whole")
    freeze_pairs_and_refuse(whole, cells)
    settled = settle(whole, BATCH)
    assert settled.settlement == Settlement(archived=1, quarantined=1)
    expected = state(whole)
    for storage in every_kill(bucket, lambda s: freeze_pairs_and_refuse(s, cells), lambda s: settle(s, BATCH)):
        assert_whole(storage)
        assert_held_while_open(storage)
        assert settle(storage, BATCH).settlement == settled.settlement
        assert state(storage) == expected
        assert_whole(storage)


@pytest.mark.slow
@pytest.mark.parametrize("asked_again", [True, False])
def test_a_return_of_pairs_killed_anywhere_tears_none_apart(
    bucket: GcsStorage, cells: Settings, asked_again: bool
) -> None:
    for storage in every_kill(
        bucket,
        lambda s: freeze_pairs_and_refuse(s, cells),
        lambda s: return_batch(s, BATCH, quarantine_refused=True),
    ):
        assert_whole(storage)
        assert_held_while_open(storage)
        return_batch(storage, BATCH, quarantine_refused=asked_again)
        assert_whole(storage)
        found = audit(storage, PAIRS)
        assert (found.inbox, found.quarantined) in ([(1, 1)] if asked_again else [(1, 1), (2, 0)])
