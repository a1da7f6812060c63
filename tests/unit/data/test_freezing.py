"""Freezing batches, and what the sensor counts."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ml.audit import audit
from ml.batches import (
    check_refused_share,
    list_batches,
    open_batch,
    read_manifest,
)
from ml.clutter import is_clutter
from ml.errors import ConflictError, DataError
from ml.freezing import checksum, freeze
from ml.inbox import count
from ml.kinds.image_classification.kind import KIND
from ml.records import BatchState, Settlement
from ml.settings import Settings
from ml.settling import return_batch, settle
from ml.storage import Storage
from ml.storage.local import LocalStorage
from tests.unit.data.collecting import collect, names, with_data


def test_a_frozen_batch_names_every_object_with_generation_size_and_checksum(
    storage: Storage, settings: Settings
) -> None:
    collect(storage, "3/a.png", "8/b.jpg")
    batch = freeze(storage, settings, "run 1")
    entries = {entry.object: entry for entry in read_manifest(storage, batch.id)}
    assert (batch.samples, batch.refused, batch.state) == (2, 0, BatchState.OPEN)
    assert sorted(entry.index for entry in entries.values()) == [0, 1]
    info = storage.stat("inbox/3/a.png")
    entry = entries["3/a.png"]
    assert (entry.label, entry.generation, entry.size) == ("3", info.generation, info.size)
    assert entry.crc32c == checksum(b"3/a.png")
    assert names(storage, "inbox") == {"3/a.png", "8/b.jpg"}


def test_the_checksum_is_cloud_storages() -> None:
    # RFC 3720, B.4: the CRC-32C of 32 bytes of zeros is 8A9136AA.
    assert checksum(bytes(32)) == "ipE2qg=="


def test_prior_art_3_samples_that_arrive_after_the_listing_stay_for_the_next_batch(
    storage: Storage, settings: Settings
) -> None:
    """Everything in the folder used to be moved, also what had arrived meanwhile."""
    collect(storage, "3/a.png")
    first = freeze(storage, settings, "run 1")
    collect(storage, "3/b.png")
    settle(storage, first.id)
    assert names(storage, "inbox") == {"3/b.png"}
    second = freeze(storage, settings, "run 2")
    assert [entry.object for entry in read_manifest(storage, second.id)] == ["3/b.png"]


def test_prior_art_15_one_batch_in_flight_and_the_conflict_names_it_and_the_remedies(
    storage: Storage, settings: Settings
) -> None:
    """The same evaluation used to be started again while one was running."""
    collect(storage, "3/a.png")
    first = freeze(storage, settings, "run 1")
    with pytest.raises(ConflictError) as conflict:
        freeze(storage, settings, "run 2")
    for part in (first.id, f"batch settle digits {first.id}", f"batch return digits {first.id}", "open since"):
        assert part in str(conflict.value)
    assert "\n" not in str(conflict.value)


def test_a_repeat_of_the_run_finds_its_batch_in_any_state(storage: Storage, settings: Settings) -> None:
    collect(storage, "3/a.png")
    first = freeze(storage, settings, "run 1")
    collect(storage, "3/b.png")
    assert freeze(storage, settings, "run 1") == first
    settled = settle(storage, first.id)
    assert freeze(storage, settings, "run 1") == settled
    assert open_batch(storage) is None


def test_nothing_in_the_inbox_is_said_and_holds_nothing(storage: Storage, settings: Settings) -> None:
    with pytest.raises(DataError, match="there is nothing in"):
        freeze(storage, settings, "run 1")
    assert open_batch(storage) is None
    collect(storage, "3/a.png")
    assert freeze(storage, settings, "run 1").samples == 1


def test_two_runs_that_freeze_at_once_get_one_batch(storage: Storage, settings: Settings) -> None:
    collect(storage, *(f"3/{number}.png" for number in range(50)))
    outcomes: Counter[str] = Counter()

    def run(run_id: str) -> None:
        try:
            freeze(storage, settings, run_id)
        except ConflictError:
            outcomes["conflict"] += 1
        else:
            outcomes["frozen"] += 1

    threads = [threading.Thread(target=run, args=(f"run {number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {"frozen": 1, "conflict": 5}
    assert len(list_batches(storage)) == 1


def test_two_attempts_of_one_run_at_once_agree_on_one_manifest(storage: Storage, settings: Settings) -> None:
    collect(storage, *(f"3/{number}.png" for number in range(50)))
    found = []
    threads = [threading.Thread(target=lambda: found.append(freeze(storage, settings, "run 1"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len({batch.model_dump_json() for batch in found}) == 1
    assert found[0].samples == len(list(read_manifest(storage, found[0].id))) == 50


def test_too_many_refused_samples_fail_the_freeze_and_the_remedy_works(storage: Storage, settings: Settings) -> None:
    strict = with_data(settings, max_refused_share=0.2)
    collect(storage, "a.txt", "b.txt", "3/fine.png")
    for _ in range(2):
        with pytest.raises(DataError, match=r"2 of 3 samples of the batch were refused.*--quarantine-refused"):
            freeze(storage, strict, "run 1")
    held = open_batch(storage)
    assert held is not None
    return_batch(storage, held.batch, quarantine_refused=True)
    assert freeze(storage, strict, "run 2").samples == 1
    assert audit(storage, KIND).quarantined == 2


def test_a_refused_share_at_the_limit_passes_and_an_empty_batch_has_none(settings: Settings) -> None:
    strict = with_data(settings, max_refused_share=0.5)
    check_refused_share(strict, 1, 2)
    check_refused_share(strict, 0, 0)
    with pytest.raises(DataError, match=r"2 of 3 .*most frequent reason: can't be decoded"):
        check_refused_share(strict, 2, 3, reason="can't be decoded")


def test_a_limited_batch_holds_a_mix_of_labels_and_the_next_one_the_rest(storage: Storage, settings: Settings) -> None:
    every = {f"{label}/{number}.png" for label in "abcd" for number in range(25)}
    collect(storage, *every)
    seen: set[str] = set()
    for run in range(4):
        batch = freeze(storage, settings, f"run {run}", max_samples=25)
        taken = {entry.object for entry in read_manifest(storage, batch.id)}
        assert len(taken) == 25
        assert len({name[0] for name in taken}) > 1 or run == 3
        assert not taken & seen
        seen |= taken
        settle(storage, batch.id)
    assert seen == every


def test_the_sensors_count_stops_at_the_threshold(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An inbox of a million names costs no more than the first ones: the listing is not read on."""
    collect(storage, *(f"3/{number}.png" for number in range(30)))
    listed = 0
    kind = type(storage)
    whole = kind.list

    def counted(self: Storage, prefix: str = "") -> object:
        nonlocal listed
        for info in whole(self, prefix):
            listed += 1
            yield info

    monkeypatch.setattr(kind, "list", counted)
    assert count(storage, KIND, 5) == 5
    assert listed == 5
    assert count(storage, KIND, 100) == 30
    assert count(storage, KIND, 0) == 0


def test_the_sensors_count_leaves_out_what_is_no_sample_and_what_is_frozen(
    storage: Storage, settings: Settings
) -> None:
    collect(storage, "3/a.png", "3/b.png", "readme.txt", "3/x.gif")
    storage.write("inbox/3/empty.png", b"")
    assert count(storage, KIND, 100) == 2
    freeze(storage, settings, "run 1")
    assert count(storage, KIND, 100) == 0
    storage.write("inbox/3/a.png", b"replaced: a new sample")
    collect(storage, "3/c.png")
    assert count(storage, KIND, 100) == 2


SEGMENT = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda text: text not in (".", "..")
)
NAME = st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    objects=st.dictionaries(st.one_of(NAME, SEGMENT.map(lambda s: f"{s}/a.png")), st.binary(max_size=20), max_size=8)
)
def test_every_object_of_any_name_is_in_the_manifest_once_and_settled_once(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings, objects: dict[str, bytes]
) -> None:
    root = tmp_path_factory.mktemp("storage")
    storage = LocalStorage(root)
    written = set()
    for name, content in objects.items():
        path = root / "inbox" / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError:
            continue  # a file where this name needs a folder, or too long for the file system
        written.add(name)
    listed = {name for name in names(storage, "inbox") if not is_clutter(name)}
    if not listed:
        with pytest.raises(DataError):
            freeze(storage, settings, "run")
        return
    batch = freeze(storage, settings, "run")
    entries = list(read_manifest(storage, batch.id))
    assert [entry.index for entry in entries] == list(range(len(listed)))
    assert {entry.object for entry in entries} == listed
    settled = settle(storage, batch.id)
    assert settled.settlement == Settlement(archived=batch.samples, quarantined=batch.refused, vanished=0)
    found = audit(storage, KIND)
    assert (found.collected, found.inbox, found.balanced) == (len(listed), 0, True)
    assert found.ignored == len(written) - len(listed)
