"""The promises of :class:`ml.storage.Storage`, on a real folder and in the bucket of a real object store."""

from __future__ import annotations

import errno
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import ConflictError, NotFoundError, RespanError, SettingsError, StorageError
from ml.storage import ABSENT, Storage, open_storage
from ml.storage.local import STALE_SECONDS, TEMPORARY, LocalStorage
from tests.unit.data.mounting import mount

FORK = multiprocessing.get_context("fork")


def race(contestants: Sequence[Callable[[], object]]) -> list[str]:
    """Runs each in a process of its own, all let go at once; "won", or the name of the error each met."""
    start = FORK.Barrier(len(contestants))
    results = FORK.SimpleQueue()

    def run(contestant: Callable[[], object], barrier: Barrier) -> None:
        barrier.wait(60)
        try:
            contestant()
        except RespanError as error:
            results.put(type(error).__name__)
        else:
            results.put("won")

    processes = [FORK.Process(target=run, args=(contestant, start)) for contestant in contestants]
    for process in processes:
        process.start()
    outcomes = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return sorted(outcomes)


@pytest.mark.parametrize("attempt", range(5))
def test_of_processes_that_create_one_object_exactly_one_wins(storage: Storage, attempt: int) -> None:
    claims = [partial(storage.write, "batches/open.json", b"%d" % n, if_generation=ABSENT) for n in range(4)]
    assert race(claims) == ["ConflictError"] * 3 + ["won"]


@pytest.mark.parametrize("attempt", range(5))
def test_of_processes_that_replace_one_generation_exactly_one_wins(storage: Storage, attempt: int) -> None:
    before = storage.write("releases/serving.json", b"one")
    swaps = [
        partial(storage.write, "releases/serving.json", b"%d" % n, if_generation=before.generation) for n in range(4)
    ]
    assert race(swaps) == ["ConflictError"] * 3 + ["won"]


@pytest.mark.parametrize("attempt", range(5))
def test_of_processes_that_publish_one_folder_exactly_one_wins_and_is_whole(
    storage: Storage, tmp_path: Path, attempt: int
) -> None:
    locals_ = []
    for number in range(4):
        local = tmp_path / str(number)
        local.mkdir()
        for name in ("data", "span.json"):
            (local / name).write_text(str(number))
        locals_.append(local)
    publications = [partial(storage.publish, local, "spans/span-1", marker="span.json") for local in locals_]
    assert race(publications) == ["ConflictError"] * 3 + ["won"]
    assert storage.read("spans/span-1/data") == storage.read("spans/span-1/span.json")


def test_a_listing_without_some_folders_holds_all_else(storage: Storage) -> None:
    inside = {"a/1", "a/b/2", "c/3"}
    outside = {"a b/4", "a-/5", "a0", "b/a/6", "z"}
    if storage.root.startswith("gs:"):
        outside |= {"a", "b/a"}  # there, names of folders can be names of objects as well
    for name in inside | outside:
        storage.write(f"inbox/{name}", b"")
    inbox = storage.child("inbox")
    assert {info.name for info in inbox.list(without=["c", "a"])} == outside
    assert {info.name for info in inbox.list(without=["nowhere"])} == inside | outside
    assert {info.name for info in storage.list("inbox", without=["inbox/a"])} == {
        f"inbox/{name}" for name in outside | {"c/3"}
    }


def test_a_generation_changes_with_content_of_the_same_size(storage: Storage) -> None:
    first = storage.write("inbox/a", b"one")
    second = storage.write("inbox/a", b"two")
    assert first.generation != second.generation
    with pytest.raises(NotFoundError, match="replaced"):
        storage.read("inbox/a", generation=first.generation)
    assert storage.read("inbox/a", generation=second.generation) == b"two"


def test_a_conditional_delete_leaves_what_somebody_changed(storage: Storage) -> None:
    first = storage.write("a", b"one")
    storage.write("a", b"other")
    with pytest.raises(ConflictError):
        storage.delete("a", if_generation=first.generation)
    assert storage.read("a") == b"other"


def test_a_failed_write_leaves_the_old_object_and_nothing_temporary(storage: Storage, root: Path) -> None:
    storage.write("a", b"old")
    with pytest.raises(StorageError):
        storage.upload(root, "a")  # a folder can't be read
    assert storage.read("a") == b"old"
    assert [entry.name for entry in (root.parent / TEMPORARY).iterdir() if entry.name != "lock"] == []


def test_the_folder_for_temporary_files_is_hidden_at_the_top_and_a_name_like_any_other_below(tmp_path: Path) -> None:
    top = LocalStorage(tmp_path)
    top.child("below").write(f"inbox/{TEMPORARY}", b"sample")
    assert [info.name for info in top.list()] == [f"below/inbox/{TEMPORARY}"]
    assert list(top.folders()) == ["below"]
    with pytest.raises(NotFoundError):
        top.read(f"{TEMPORARY}/lock")


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/etc/passwd", "a//b", "a/.", "a\0b"])
def test_a_name_can_not_lead_out_of_the_root(storage: Storage, name: str) -> None:
    with pytest.raises(NotFoundError):
        storage.write(name, b"")
    with pytest.raises(NotFoundError):
        storage.read(name)


@given(name=st.binary(min_size=1, max_size=40).filter(lambda b: b not in (b".", b"..") and not set(b) & {0, 0x2F}))
def test_any_file_name_is_listed_as_text_that_leads_back_to_it(
    tmp_path_factory: pytest.TempPathFactory, name: bytes
) -> None:
    root = tmp_path_factory.mktemp("names")
    (root / "inbox").mkdir()
    (root / "inbox" / os.fsdecode(name)).write_bytes(b"content")
    storage = LocalStorage(root)
    (info,) = storage.list("inbox")
    info.name.encode("utf-8")
    assert storage.read(info.name, generation=info.generation) == b"content"
    storage.move(info.name, "archive/" + info.name, generation=info.generation)
    assert os.listdir(os.fsencode(root / "archive" / "inbox")) == [name]  # noqa: PTH208 (bytes)


def test_a_link_or_a_pipe_is_told_and_never_read(storage: Storage, root: Path) -> None:
    (root / "inbox").mkdir(parents=True)
    (root / "inbox" / "link").symlink_to("/etc/hostname")
    os.mkfifo(root / "inbox" / "pipe")
    told = {info.name: info.irregular for info in storage.list("inbox")}
    assert told == {"inbox/link": "a symbolic link", "inbox/pipe": "a named pipe"}
    for name in told:
        with pytest.raises(StorageError):
            storage.read(name)
        storage.move(name, f"quarantine/{name}")
    assert (root / "quarantine" / "inbox" / "link").is_symlink()


def test_a_listing_shows_no_temporary_file_and_stops_where_the_caller_does(storage: Storage) -> None:
    for number in range(20):
        storage.write(f"inbox/{number}", b"")
    top = open_storage(storage.root.rpartition("/")[0])
    assert len(list(top.list())) == 20
    listing = storage.list("inbox")
    next(listing)
    listing.close()  # type: ignore[attr-defined]


def test_what_a_killed_process_left_is_deleted_after_a_day(
    storage: Storage, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.write("a", b"")
    (root.parent / TEMPORARY / "left-file").write_bytes(b"")
    (root.parent / TEMPORARY / "left-folder").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "marker").write_bytes(b"")
    storage.publish(tmp_path / "new", "one", marker="marker")
    assert (root.parent / TEMPORARY / "left-file").exists()
    tomorrow = time.time() + STALE_SECONDS + 60
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    storage.publish(tmp_path / "new", "two", marker="marker")
    assert {entry.name for entry in (root.parent / TEMPORARY).iterdir()} == {"lock"}


def test_a_missing_part_of_a_path_reads_as_not_found(storage: Storage) -> None:
    storage.write("a", b"")
    for name in ("b", "a/b", "b/c"):
        assert not storage.exists(name)
        with pytest.raises(NotFoundError):
            storage.read(name)


def test_a_folder_is_no_object_and_opening_one_leaks_nothing(storage: Storage, root: Path) -> None:
    (root / "folder").mkdir(parents=True)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(NotFoundError):
            storage.read("folder")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    "uri",
    [
        *("s3://bucket", "file://host/path", "relative/path", "file:relative", "gs://", "gs:///prefix"),
        *("gs://Upper/x", "gs://b", "gs://bucket//x", "gs://bucket/a/../b", "gs://bucket/a/./b"),
    ],
)
def test_a_root_that_is_of_neither_form_is_refused_with_both(uri: str) -> None:
    with pytest.raises(SettingsError, match=r"RESPAN_STORAGE is .*give file:///an/absolute/path or gs://bucket/prefix"):
        open_storage(uri)


def test_a_root_in_a_bucket_may_have_any_prefix_or_none() -> None:
    for uri, root in (
        ("gs://my-bucket", "gs://my-bucket"),
        ("gs://my-bucket/", "gs://my-bucket"),
        ("gs://my.bucket/a/b c#?%20/", "gs://my.bucket/a/b c#?%20"),
        ("gs://my-bucket/..a/...", "gs://my-bucket/..a/..."),
    ):
        storage = open_storage(uri)
        assert storage.root == root
        assert storage.child("digits").uri("spans/span-1") == f"{root}/digits/spans/span-1"


def test_a_stored_folder_is_published_once_and_stays(storage: Storage) -> None:
    for name in ("saved_model.pb", "variables/data"):
        storage.write(f"runs/r/pushed/{name}", name.encode())
    storage.write("models/1/left/by-an-attempt-before", b"")
    with pytest.raises(NotFoundError, match="no-marker"):
        storage.publish_stored("runs/r/pushed", "models/1", marker="no-marker")
    storage.publish_stored("runs/r/pushed", "models/1", marker="saved_model.pb")
    with pytest.raises(ConflictError, match="published"):
        storage.publish_stored("runs/r/pushed", "models/1", marker="saved_model.pb")
    assert sorted(info.name for info in storage.list("models")) == [
        "models/1/saved_model.pb",
        "models/1/variables/data",
    ]
    assert storage.read("models/1/variables/data") == storage.read("runs/r/pushed/variables/data")


def test_a_folder_is_a_whole_part_of_a_name_and_goes_with_all_below_it(storage: Storage) -> None:
    for name in ("spans/span-1/a", "spans/span-1/train/b", "spans/span-10/a"):
        storage.write(name, b"")
    assert storage.folders("spans") == ["span-1", "span-10"]
    assert storage.folders("spans/span-1") == ["train"]
    assert sorted(info.name for info in storage.list("spans/span-1")) == ["spans/span-1/a", "spans/span-1/train/b"]
    storage.delete_tree("spans/span-1")
    storage.delete_tree("nothing")
    assert [info.name for info in storage.list()] == ["spans/span-10/a"]


def test_a_full_disk_is_one_clear_error_and_leaves_nothing_behind(tiny_disk: Path) -> None:
    storage = LocalStorage(tiny_disk)
    storage.write("inbox/a", b"sample")
    with pytest.raises(StorageError, match="the disk is full: free space, then retry"):
        storage.write("batches/b/manifest.jsonl", b"x" * 1_000_000)
    assert [info.name for info in storage.list()] == ["inbox/a"]
    storage.write("batches/b/small", b"fits again")


def test_a_read_only_root_is_one_clear_error(tiny_disk: Path) -> None:
    storage = LocalStorage(tiny_disk)
    storage.write("inbox/a", b"sample")
    mount("-o", "remount,ro", str(tiny_disk))
    for work in (
        lambda: storage.write("b", b""),
        lambda: storage.move("inbox/a", "archive/a"),
        lambda: storage.delete("inbox/a"),
    ):
        with pytest.raises(StorageError, match="read-only: mount it writable, then retry"):
            work()
    assert storage.read("inbox/a") == b"sample"


def test_a_file_size_limit_is_a_storage_error(storage: Storage, root: Path) -> None:
    """What a full disk looks like where nothing can be mounted: the operating system refuses to write."""
    import resource
    import signal

    def write_too_much() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        storage.write("a", b"x" * 2000)

    assert race([write_too_much]) == ["StorageError"]
    assert list(storage.list()) == []
    assert os.strerror(errno.EFBIG)
