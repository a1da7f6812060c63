"""The promises of ``Storage.move``, on a folder and in a bucket: nothing is overwritten, and nothing is lost."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from ml.errors import ConflictError, NotFoundError
from ml.storage import Storage
from tests.unit.data.killing import overtaken


def test_a_move_never_overwrites(storage: Storage) -> None:
    storage.write("inbox/a", b"new")
    storage.write("archive/a", b"old")
    with pytest.raises(ConflictError):
        storage.move("inbox/a", "archive/a")
    assert (storage.read("inbox/a"), storage.read("archive/a")) == (b"new", b"old")


def test_a_move_of_a_replaced_object_leaves_it_in_place(storage: Storage) -> None:
    frozen = storage.write("inbox/a", b"old")
    storage.write("inbox/a", b"replacement")
    with pytest.raises(NotFoundError):
        storage.move("inbox/a", "archive/a", generation=frozen.generation)
    assert storage.read("inbox/a") == b"replacement"
    assert not storage.exists("archive/a")


def test_a_move_killed_between_link_and_unlink_is_finished_by_the_next(storage: Storage, root: Path) -> None:
    info = storage.write("inbox/a", b"sample")
    (root / "archive").mkdir()
    os.link(root / "inbox" / "a", root / "archive" / "a")
    assert storage.move("inbox/a", "archive/a", generation=info.generation).size == 6
    assert [found.name for found in storage.list()] == ["archive/a"]


def test_an_object_replaced_between_the_look_and_the_link_stays(storage: Storage, root: Path) -> None:
    info = storage.write("inbox/a", b"frozen")

    def move() -> None:
        with pytest.raises(NotFoundError, match="replaced"):
            storage.move("inbox/a", "archive/a", generation=info.generation)

    overtaken(move, "os.link", root / "inbox" / "a", lambda: storage.write("inbox/a", b"replacement"))
    assert storage.read("inbox/a") == b"replacement"
    assert not storage.exists("archive/a")


def test_an_object_replaced_between_the_link_and_the_unlink_stays(storage: Storage, root: Path) -> None:
    info = storage.write("inbox/a", b"frozen")
    overtaken(
        lambda: storage.move("inbox/a", "archive/a", generation=info.generation),
        "os.rename",
        root / "inbox" / "a",
        lambda: storage.write("inbox/a", b"replacement"),
    )
    assert storage.read("inbox/a") == b"replacement"
    assert storage.read("archive/a") == b"frozen"


def test_objects_replaced_while_they_are_moved_are_never_lost(storage: Storage) -> None:
    """Each of many versions that a writer puts under one name is moved, or still there at the end."""
    versions = 300 if storage.root.startswith("file:") else 30
    stop = threading.Event()

    def collect() -> None:
        for number in range(versions):
            while storage.exists("inbox/a") and number % 3 and not stop.is_set():
                time.sleep(0)
            storage.write("inbox/a", b"%d" % number)

    writer = threading.Thread(target=collect)
    writer.start()
    moved = 0
    try:
        while writer.is_alive() or storage.exists("inbox/a"):
            try:
                info = storage.stat("inbox/a")
                storage.move("inbox/a", f"archive/{moved}", generation=info.generation)
            except NotFoundError:
                continue
            moved += 1
    finally:
        stop.set()
        writer.join()
    archived = [int(storage.read(found.name)) for found in storage.list("archive")]
    assert len(archived) == len(set(archived)) == moved
    assert max(archived) == versions - 1
