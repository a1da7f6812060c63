"""What Cloud Storage may do to a request: refuse it for a moment or for good, or do it and never say so."""

from __future__ import annotations

import contextlib
import io
import os
import random
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ml.errors import ConflictError, NotFoundError, StorageError
from ml.storage import ABSENT
from ml.storage import gcs_bucket as requests_
from ml.storage.gcs import GcsStorage
from tests.gcp.faults import Fault

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud

MOMENTARY = {"503": Fault.UNAVAILABLE, "429": Fault.RATE_LIMIT, "dropped after acting": Fault.DROPPED}


def write_new(remote: GcsStorage) -> None:
    remote.write("new", b"new", if_generation=ABSENT)
    assert remote.read("new") == b"new"


def replace(remote: GcsStorage) -> None:
    remote.write("a", b"changed", if_generation=remote.stat("a").generation)
    assert remote.read("a") == b"changed"


def move(remote: GcsStorage) -> None:
    remote.move("a", "moved", generation=remote.stat("a").generation)
    assert [info.name for info in remote.list()] == ["moved"]


def delete(remote: GcsStorage) -> None:
    remote.delete("a", if_generation=remote.stat("a").generation)
    assert not remote.exists("a")


def delete_whatever_is_there(remote: GcsStorage) -> None:
    remote.delete("a")
    assert not remote.exists("a")


def read(remote: GcsStorage) -> None:
    assert remote.read("a", generation=remote.stat("a").generation) == b"content"
    with remote.open("a") as stream:
        assert stream.read() == b"content"


def look_around(remote: GcsStorage) -> None:
    assert [info.name for info in remote.list()] == ["a"]
    assert remote.folders() == []


CASES: list[tuple[str, Callable[[GcsStorage], None]]] = [
    ("storage.objects.insert", write_new),
    ("storage.objects.insert", replace),
    ("storage.objects.rewrite", move),
    ("storage.objects.delete", move),
    ("storage.objects.get", move),
    ("storage.objects.delete", delete),
    ("storage.objects.delete", delete_whatever_is_there),
    ("storage.objects.get", read),
    ("storage.objects.list", look_around),
]


@pytest.mark.parametrize("fault", MOMENTARY.values(), ids=MOMENTARY)
@pytest.mark.parametrize(("method", "work"), CASES, ids=[f"{work.__name__}-{method}" for method, work in CASES])
def test_what_fails_for_a_moment_is_repeated_and_happens_once(
    remote: GcsStorage, cloud: LoopbackCloud, method: str, work: Callable[[GcsStorage], None], fault: Fault
) -> None:
    remote.write("a", b"content")
    cloud.faults.add(method, fault, times=2)
    work(remote)
    assert cloud.faults.pending == [], "the fault never hit"


def test_a_conditional_write_whose_answer_was_lost_is_no_conflict_and_somebody_elses_is(
    remote: GcsStorage, cloud: LoopbackCloud
) -> None:
    cloud.faults.add("storage.objects.insert", Fault.DROPPED)
    mine = remote.write("batches/open.json", b"mine", if_generation=ABSENT)
    assert remote.stat("batches/open.json").generation == mine.generation
    with pytest.raises(ConflictError):
        remote.write("batches/open.json", b"theirs", if_generation=ABSENT)
    assert remote.read("batches/open.json") == b"mine"


@pytest.mark.parametrize("fault", MOMENTARY.values(), ids=MOMENTARY)
def test_a_large_file_goes_in_pieces_and_on_from_where_it_was_interrupted(
    remote: GcsStorage, cloud: LoopbackCloud, tmp_path: Path, fault: Fault
) -> None:
    content = random.Random(1).randbytes(2 * requests_.CHUNK + 1000)
    local = tmp_path / "large"
    local.write_bytes(content)
    cloud.calls.clear()
    cloud.faults.add("storage.objects.insert.chunk", fault, after=1)
    remote.upload(local, "large", if_generation=ABSENT)
    assert len(cloud.calls.of("storage.objects.insert")) == 1
    cloud.faults.add("storage.objects.get", fault)
    with remote.open("large") as stream:
        assert stream.read() == content
    assert cloud.faults.pending == []


@pytest.mark.parametrize("method", ["insert", "get", "list", "delete", "rewrite"])
@pytest.mark.parametrize("fault", MOMENTARY.values(), ids=MOMENTARY)
def test_a_publication_survives_what_lasts_a_moment(
    remote: GcsStorage, cloud: LoopbackCloud, tmp_path: Path, method: str, fault: Fault
) -> None:
    remote.write("models/1/left", b"by an attempt before")
    folder = folder_of(tmp_path, "one")
    cloud.faults.add(f"storage.objects.{method}", fault, times=2)
    remote.publish(folder, "pushed", marker="marker")
    remote.publish_stored("pushed", "models/1", marker="marker")
    assert content_of(remote, "models/1") == {"data": b"one", "marker": b"one"}
    assert cloud.faults.pending == []


def test_bytes_that_change_on_their_way_are_refused_and_nothing_is_written(remote: GcsStorage) -> None:
    class Damaged(io.BytesIO):
        """Other bytes when it is read for the second time."""

        def seek(self, position: int, whence: int = 0, /) -> int:
            self.times = getattr(self, "times", 0) + 1
            if self.times == 2:
                self.getbuffer()[0] ^= 1
            return super().seek(position, whence)

    with pytest.raises(StorageError, match="damaged on its way: retry"):
        requests_.Bucket("faulty").put("damaged", Damaged(b"content"))
    assert requests_.Bucket("faulty").find("damaged") is None


def test_a_listing_asks_for_no_more_pages_and_fields_than_are_used(remote: GcsStorage, cloud: LoopbackCloud) -> None:
    client = cloud.storage_client().bucket("faulty")
    above = remote.root.removeprefix("gs://faulty/")
    for number in range(1001):
        client.blob(f"{above}/{number:04}").upload_from_string(b"")
    cloud.calls.clear()
    listing = remote.list()
    names = [next(listing).name for _ in range(1000)]
    assert names == [f"{number:04}" for number in range(1000)]
    (call,) = cloud.calls.of("storage.objects.list")
    assert call.request.query["fields"] == "items(name,size,generation,contentType,crc32c),nextPageToken"
    assert len(list(listing)) == 1
    assert len(cloud.calls.of("storage.objects.list")) == 2


def folder_of(tmp_path: Path, content: str, *others: str) -> Path:
    folder = tmp_path / content
    folder.mkdir()
    for name in ("data", "marker", *others):
        (folder / name).write_text(content)
    return folder


def content_of(remote: GcsStorage, prefix: str) -> dict[str, bytes]:
    return {info.name.removeprefix(f"{prefix}/"): remote.read(info.name) for info in remote.list(prefix)}


def test_a_publisher_that_slept_at_any_moment_changes_nothing_of_what_was_published_meanwhile(
    remote: GcsStorage, tmp_path: Path
) -> None:
    """The zombie has a file that the winner doesn't have, and goes on after the winner has finished."""
    zombie, winner = folder_of(tmp_path, "zombie", "extra"), folder_of(tmp_path, "winner", "other")
    for moment in count(1):
        prefix = f"spans/span-{moment}"
        sleep = Sleeper(moment, lambda prefix=prefix: remote.publish(winner, prefix, marker="marker"))  # type: ignore[misc]
        with sleep, contextlib.suppress(ConflictError):
            remote.publish(zombie, prefix, marker="marker")
        if not sleep.woken:
            assert content_of(remote, prefix) == dict.fromkeys(("data", "marker", "extra"), b"zombie")
            assert moment > 10, "a publication has hardly any requests: this test proves nothing"
            return
        assert content_of(remote, prefix) == dict.fromkeys(("data", "marker", "other"), b"winner")


class Sleeper:
    """Lets ``other`` happen right before the ``moment``-th request that this process's client sends."""

    def __init__(self, moment: int, other: Callable[[], None]) -> None:
        self._left, self._other = moment, other
        self.woken = False
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> None:
        from threading import Lock

        from requests import Session

        send, lock = Session.send, Lock()

        def counted(session: Session, *arguments: object, **options: object) -> object:
            with lock:
                self._left -= 1
                now = self._left == 0
            if now:
                self.woken = True
                self._other()
            return send(session, *arguments, **options)  # type: ignore[arg-type]

        self._patch.setattr(Session, "send", counted)

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


def test_a_consoles_folder_is_no_sample_and_odd_names_are_told_and_can_be_moved(
    remote: GcsStorage, cloud: LoopbackCloud
) -> None:
    client = cloud.storage_client().bucket("faulty")
    above = remote.root.removeprefix("gs://faulty/")
    for name in ("inbox/", "inbox/3/", "inbox/3/a.png", "inbox/3//b.png", "inbox/../c.png"):
        client.blob(f"{above}/{name}").upload_from_string(b"x")
    told = {info.name: info.irregular is None for info in remote.list("inbox")}
    assert told == {"inbox/3/a.png": True, "inbox/3//b.png": False, "inbox/../c.png": False}
    assert remote.folders("inbox") == ["3"]
    with pytest.raises(NotFoundError):
        remote.read("inbox/3//b.png")
    remote.move("inbox/3//b.png", "quarantine/3//b.png")
    assert os.path.basename(remote.stat("quarantine/3//b.png").name) == "b.png"  # noqa: PTH119 (no path)


@pytest.mark.parametrize("name", ["x" * 1025, "line\nend", "\ud800", "folder/"])
def test_names_that_cloud_storage_refuses_are_not_found(remote: GcsStorage, name: str) -> None:
    for work in (lambda: remote.write(name, b""), lambda: remote.read(name), lambda: remote.stat(name)):
        with pytest.raises(NotFoundError):
            work()
