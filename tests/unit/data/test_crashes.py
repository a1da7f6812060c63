"""A kill at any point, then a retry: the same final state, nothing lost or counted twice, nothing half-visible."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ml import layout
from ml.audit import audit
from ml.batches import open_batch, read_batch, read_manifest, write_refusals
from ml.claims import claim_number
from ml.errors import NotFoundError
from ml.freezing import freeze
from ml.kinds.image_classification.kind import KIND
from ml.kinds.semantic_segmentation.kind import KIND as PAIRS
from ml.names import safe_id
from ml.records import BatchState, Refusal, ReleaseRecord, Settlement, now
from ml.releases import read_release, record_release, rollback, serve, serving
from ml.settings import Settings
from ml.settling import return_batch, settle
from ml.storage import Storage
from ml.storage.local import TEMPORARY, LocalStorage
from tests.unit.data.killing import killed_at

RUN = "scheduled__2026-11-21T00:00:00+00:00"
BATCH = safe_id(RUN)

Work = Callable[[LocalStorage], object]


def fill_inbox(root: Path) -> None:
    for label, name, content in (
        ("3", "a.png", b"three"),
        ("3", "with space and 'quotes'.PNG", b"another three"),
        ("8", "ä.jpeg", b"eight"),
        ("8", "empty.png", b""),
    ):
        (root / "inbox" / label).mkdir(parents=True, exist_ok=True)
        (root / "inbox" / label / name).write_bytes(content)
    (root / "inbox" / "readme.txt").write_text("no sample")
    (root / "inbox" / "3" / os.fsdecode(b"\xff.png")).write_bytes(b"no UTF-8")


def fill_inbox_with_pairs(root: Path) -> None:
    for name, content in (
        ("images/a.png", b"image a"),
        ("masks/a.png", b"mask a"),
        ("images/ü 'b'.jpg", b"image b"),
        ("masks/ü 'b'.png", b"mask b"),
        ("images/c.png", b"image c"),
        ("masks/c.png", b""),
        ("images/waits.png", b"image of a mask to come"),
    ):
        file = root / "inbox" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (root / "inbox" / "readme.txt").write_text("no sample")


def state(root: Path) -> dict[str, str]:
    """Every file below the root but what is temporary, with the content of small documents but for times."""
    found = {}
    for file in sorted(root.rglob("*")):
        if file.is_file() and TEMPORARY not in file.parts:
            content = file.read_text() if file.suffix in (".json", ".jsonl") else ""
            found[file.relative_to(root).as_posix()] = "\n".join(sorted(map(_timeless, content.splitlines())))
    return found


def _timeless(line: str) -> str:
    """A manifest's line without what differs between two copies of a file and two orders of a folder."""
    try:
        document = json.loads(line)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return "" if any(f'"{key}"' in line for key in ("frozen", "since", "at", "created")) else line
    document = {k: v for k, v in document.items() if k not in ("generation", "index")}
    return json.dumps(document | {"parts": [part["object"] for part in document.get("parts", ())]}, sort_keys=True)


def every_kill(tmp_path: Path, prepare: Work, work: Work) -> Iterator[LocalStorage]:
    """A storage for each operation of ``work``, killed right before that operation, and left so."""
    for operation in range(1, 100_000):
        root = tmp_path / f"killed-{operation}"
        storage = LocalStorage(root)
        prepare(storage)
        if not killed_at(lambda storage=storage: work(storage), operation, root):  # type: ignore[misc]
            assert operation > 5, "the work hardly touches storage: this test proves nothing"
            return
        yield storage
        shutil.rmtree(root)


def freeze_and_refuse(storage: LocalStorage, settings: Settings) -> None:
    fill_inbox(Path(storage.uri()))
    freeze(storage, settings, RUN)
    refuse_one(storage)


def freeze_pairs_and_refuse(storage: LocalStorage, cells: Settings) -> None:
    fill_inbox_with_pairs(Path(storage.uri()))
    freeze(storage, cells, RUN)
    refuse_one(storage, "images/a.png")


def refuse_one(storage: Storage, name: str = "3/a.png") -> None:
    broken = next(entry for entry in read_manifest(storage, BATCH) if entry.object == name)
    refusal = Refusal(index=broken.index, object=broken.object, generation=broken.generation, reason="can't be decoded")
    write_refusals(storage, BATCH, "predict", [refusal])


def assert_held_while_open(storage: Storage) -> None:
    """Nobody may freeze another batch before this one is closed."""
    if read_batch(storage, BATCH).state is BatchState.OPEN:
        held = open_batch(storage)
        assert held is not None
        assert held.batch == BATCH


@pytest.mark.slow
def test_a_freeze_killed_anywhere_is_finished_by_its_retry(tmp_path: Path, settings: Settings) -> None:
    whole = LocalStorage(tmp_path / "whole")
    fill_inbox(Path(whole.uri()))
    freeze(whole, settings, RUN)
    expected = state(Path(whole.uri()))
    for storage in every_kill(tmp_path, lambda s: fill_inbox(Path(s.uri())), lambda s: freeze(s, settings, RUN)):
        after_the_kill = audit(storage, KIND)
        assert (after_the_kill.collected, after_the_kill.lost, after_the_kill.duplicated) == (6, 0, 0)
        freeze(storage, settings, RUN)
        assert state(Path(storage.uri())) == expected
        assert audit(storage, KIND).batch == 6


@pytest.mark.slow
def test_a_settling_killed_anywhere_is_finished_by_its_retry(tmp_path: Path, settings: Settings) -> None:
    whole = LocalStorage(tmp_path / "whole")
    freeze_and_refuse(whole, settings)
    settled = settle(whole, BATCH)
    expected = state(Path(whole.uri()))
    for storage in every_kill(tmp_path, lambda s: freeze_and_refuse(s, settings), lambda s: settle(s, BATCH)):
        after_the_kill = audit(storage, KIND)
        assert (after_the_kill.collected, after_the_kill.lost, after_the_kill.duplicated) == (6, 0, 0)
        assert_held_while_open(storage)
        assert settle(storage, BATCH).settlement == settled.settlement
        assert state(Path(storage.uri())) == expected
        assert open_batch(storage) is None
        after_the_retry = audit(storage, KIND)
        assert (after_the_retry.archived, after_the_retry.quarantined, after_the_retry.balanced) == (2, 4, True)


@pytest.mark.slow
def test_a_return_killed_anywhere_is_finished_by_its_retry(tmp_path: Path, settings: Settings) -> None:
    for storage in every_kill(
        tmp_path,
        lambda s: freeze_and_refuse(s, settings),
        lambda s: return_batch(s, BATCH, quarantine_refused=True),
    ):
        after_the_kill = audit(storage, KIND)
        assert (after_the_kill.collected, after_the_kill.lost, after_the_kill.duplicated) == (6, 0, 0)
        assert_held_while_open(storage)
        return_batch(storage, BATCH, quarantine_refused=True)
        after_the_retry = audit(storage, KIND)
        assert (after_the_retry.inbox, after_the_retry.quarantined, after_the_retry.balanced) == (2, 4, True)
        assert open_batch(storage) is None
        assert freeze(storage, settings, "the next run").samples == 2


def assert_whole(storage: Storage) -> None:
    """Nothing is lost or twice, and each of the pairs counts once: two that are fine, one with an empty mask, and what
    is no sample."""
    found = audit(storage, PAIRS)
    assert (found.collected, found.lost, found.duplicated, found.incomplete) == (4, 0, 0, 1)


@pytest.mark.slow
def test_a_freeze_of_pairs_killed_anywhere_is_finished_by_its_retry(tmp_path: Path, cells: Settings) -> None:
    whole = LocalStorage(tmp_path / "whole")
    fill_inbox_with_pairs(Path(whole.uri()))
    freeze(whole, cells, RUN)
    expected = state(Path(whole.uri()))
    for storage in every_kill(
        tmp_path, lambda s: fill_inbox_with_pairs(Path(s.uri())), lambda s: freeze(s, cells, RUN)
    ):
        assert_whole(storage)
        freeze(storage, cells, RUN)
        assert state(Path(storage.uri())) == expected
        assert_whole(storage)


@pytest.mark.slow
def test_a_settling_of_pairs_killed_anywhere_is_finished_by_its_retry(tmp_path: Path, cells: Settings) -> None:
    whole = LocalStorage(tmp_path / "whole")
    freeze_pairs_and_refuse(whole, cells)
    settled = settle(whole, BATCH)
    assert settled.settlement == Settlement(archived=1, quarantined=3)
    expected = state(Path(whole.uri()))
    for storage in every_kill(tmp_path, lambda s: freeze_pairs_and_refuse(s, cells), lambda s: settle(s, BATCH)):
        assert_whole(storage)
        assert_held_while_open(storage)
        assert settle(storage, BATCH).settlement == settled.settlement
        assert state(Path(storage.uri())) == expected
        assert_whole(storage)


@pytest.mark.slow
@pytest.mark.parametrize("asked_again", [True, False])
def test_a_return_of_pairs_killed_anywhere_tears_none_apart(tmp_path: Path, cells: Settings, asked_again: bool) -> None:
    for storage in every_kill(
        tmp_path,
        lambda s: freeze_pairs_and_refuse(s, cells),
        lambda s: return_batch(s, BATCH, quarantine_refused=True),
    ):
        assert_whole(storage)
        assert_held_while_open(storage)
        return_batch(storage, BATCH, quarantine_refused=asked_again)
        assert_whole(storage)
        found = audit(storage, PAIRS)
        assert (found.inbox, found.quarantined) in ([(1, 3)] if asked_again else [(1, 3), (4, 0)])
        if found.quarantined:
            assert freeze(storage, cells, "the next run").samples == 1


@pytest.mark.slow
def test_a_release_killed_anywhere_is_finished_by_its_retry(tmp_path: Path) -> None:
    def release(storage: LocalStorage) -> None:
        version = claim_number(storage, "models", by="run-2")
        record_release(storage, record(version, "run-2"))
        storage.write(f"{layout.model(version)}/saved_model.pb", b"model")
        serve(storage, version, "trained on demand")

    for storage in every_kill(tmp_path, first_release, release):
        now_serving = serving(storage)
        assert now_serving is not None
        read_release(storage, now_serving.version)
        release(storage)
        finished = serving(storage)
        assert finished is not None
        assert [change.traffic for change in finished.history] == [{1: 100}, {2: 100}]
        with pytest.raises(NotFoundError):
            read_release(storage, 3)


def first_release(storage: LocalStorage) -> None:
    claim_number(storage, "models", by="run-1")
    record_release(storage, record(1, "run-1"))
    storage.write(f"{layout.model(1)}/saved_model.pb", b"model")
    serve(storage, 1, "first")


def record(version: int, run: str) -> ReleaseRecord:
    return ReleaseRecord(
        version=version, run=run, window=[1], created=now(), metrics={"accuracy": 0.97}, classes=["3", "8"], code="c0de"
    )


@pytest.mark.slow
def test_a_publication_killed_anywhere_is_whole_or_not_there(tmp_path: Path) -> None:
    """Prior art 4 and 16: leftovers of a failed upload are taken for the real thing, or stand in the next one's way."""
    local = tmp_path / "span"
    (local / "train").mkdir(parents=True)
    (local / "train" / "data").write_bytes(b"examples")
    (local / "span.json").write_text("{}")

    def publish(storage: LocalStorage) -> None:
        storage.publish(local, "spans/span-1", marker="span.json")

    for storage in every_kill(tmp_path, lambda s: None, publish):
        names = {info.name for info in storage.list("spans")}
        whole = {"spans/span-1/span.json", "spans/span-1/train/data"}
        assert names in (set(), whole)
        if not names:
            publish(storage)
        assert {info.name for info in storage.list("spans")} == whole


def test_a_roll_back_is_not_undone_by_the_retry_of_the_release_before(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    first_release(storage)
    record_release(storage, record(2, "run-2"))
    storage.write(f"{layout.model(2)}/saved_model.pb", b"model")
    serve(storage, 2, "trained")
    rollback(storage)
    assert serve(storage, 2, "trained").version == 1
