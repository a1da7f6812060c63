"""Images with masks from the inbox to the archive: samples stay whole, and each of their objects is accounted for."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml import layout
from ml.audit import audit
from ml.batches import open_batch, read_lines, read_manifest, read_vanished, write_refusals
from ml.errors import ConflictError, DataError
from ml.freezing import checksum, freeze
from ml.inbox import count
from ml.kinds.semantic_segmentation.kind import KIND
from ml.records import Batch, ManifestEntry, Refusal, Settlement
from ml.settings import Settings
from ml.settling import return_batch, settle
from ml.storage import Storage
from tests.unit.data.collecting import collect, names, with_data


def pair(name: str) -> tuple[str, str]:
    return f"images/{name}.png", f"masks/{name}.png"


def entries(storage: Storage, batch: Batch) -> dict[str, ManifestEntry]:
    return {entry.object: entry for entry in read_manifest(storage, batch.id)}


def refuse(storage: Storage, batch: Batch, name: str) -> None:
    entry = entries(storage, batch)[name]
    refusal = Refusal(index=entry.index, object=name, generation=entry.generation, reason="the sizes differ")
    write_refusals(storage, batch.id, "span", [refusal])


def vanished(storage: Storage, batch: Batch) -> dict[str, str]:
    return {gone.object: gone.reason for gone in read_vanished(storage, batch.id)}


def test_a_frozen_batch_names_each_object_with_generation_size_and_checksum(storage: Storage, cells: Settings) -> None:
    collect(storage, *pair("a"), "images/b ü.JPG", "masks/b ü.png")
    batch = freeze(storage, cells, "run 1")
    assert (batch.samples, batch.refused, batch.incomplete) == (2, 0, 0)
    found = entries(storage, batch)
    assert set(found) == {"images/a.png", "images/b ü.JPG"}
    entry = found["images/a.png"]
    assert (entry.role, entry.label, [part.role for part in entry.parts or ()]) == ("image", None, ["mask"])
    assert [each.object for each in entry.objects] == ["images/a.png", "masks/a.png"]
    for each in entry.objects:
        info = storage.stat(f"inbox/{each.object}")
        assert (each.generation, each.size) == (info.generation, info.size)
        assert each.crc32c == checksum(each.object.encode())


def test_a_line_of_a_sample_that_is_one_object_is_as_it_was_before_there_were_others(
    storage: Storage, settings: Settings
) -> None:
    collect(storage, "3/a.png")
    batch = freeze(storage, settings, "run 1")
    line = storage.read(layout.batch(batch.id, layout.MANIFEST)).decode()
    info = storage.stat("inbox/3/a.png")
    assert line == (
        f'{{"index":0,"object":"3/a.png","generation":"{info.generation}","size":7,'
        f'"crc32c":"{checksum(b"3/a.png")}","label":"3"}}\n'
    )
    assert b"incomplete" not in storage.read(layout.batch(batch.id, layout.BATCH))


def test_a_file_without_its_counterpart_is_no_sample_and_is_told(storage: Storage, cells: Settings) -> None:
    collect(storage, "images/a.png", "images/b.png", "masks/c.png")
    with pytest.raises(
        DataError, match=r"no whole sample in .*, 3 files wait for their counterparts: .*masks/<id>.png"
    ):
        freeze(storage, cells, "run 1")
    assert open_batch(storage) is None
    collect(storage, "masks/a.png")
    batch = freeze(storage, cells, "run 1")
    assert (batch.samples, batch.refused, batch.incomplete) == (1, 0, 2)
    settle(storage, batch.id)
    assert names(storage, "inbox") == {"images/b.png", "masks/c.png"}
    found = audit(storage, KIND)
    assert (found.collected, found.archived, found.incomplete, found.balanced) == (1, 1, 2, True)
    with pytest.raises(DataError, match="2 files wait"):
        freeze(storage, cells, "run 2")


def test_an_empty_inbox_is_told_as_before(storage: Storage, cells: Settings) -> None:
    with pytest.raises(DataError, match="there is nothing in"):
        freeze(storage, cells, "run 1")


def test_one_unfit_object_refuses_the_sample_and_the_reason_names_its_role(
    storage: Storage, root: Path, cells: Settings
) -> None:
    collect(storage, *pair("fine"), *pair("small"), *pair("empty"), "images/link.png")
    storage.write("inbox/masks/small.png", b"x" * 101)
    storage.write("inbox/images/empty.png", b"")
    (root / "inbox" / "masks" / "link.png").symlink_to("fine.png")
    batch = freeze(storage, with_data(cells, max_sample_bytes=100), "run 1")
    assert (batch.samples, batch.refused) == (1, 3)
    found = entries(storage, batch)
    assert {name: entry.refused for name, entry in found.items()} == {
        "images/fine.png": None,
        "images/small.png": "the mask has 101 bytes, more than data.max_sample_bytes = 100",
        "images/empty.png": "the image is empty",
        "images/link.png": "the mask is a symbolic link, not a file",
    }
    assert all(len(entry.objects) == 2 for entry in found.values())
    settled = settle(storage, batch.id)
    assert settled.settlement == Settlement(archived=1, quarantined=3)
    assert names(storage, f"quarantine/{batch.id}/samples") == {*pair("small"), *pair("empty"), *pair("link")}
    assert names(storage, f"archive/{batch.id}") == {*pair("fine")}
    reasons = list(read_lines(storage, layout.quarantine_reasons(batch.id), Refusal))
    assert {refusal.object for refusal in reasons} == {"images/small.png", "images/empty.png", "images/link.png"}
    assert audit(storage, KIND).balanced


def test_what_is_in_no_roles_folder_goes_to_quarantine_alone(storage: Storage, cells: Settings) -> None:
    collect(storage, *pair("a"), "readme.txt", "0/a.png", "masks/notes.txt")
    batch = freeze(storage, cells, "run 1")
    assert (batch.samples, batch.refused) == (1, 3)
    settle(storage, batch.id)
    assert names(storage, f"quarantine/{batch.id}/samples") == {"readme.txt", "0/a.png", "masks/notes.txt"}
    found = audit(storage, KIND)
    assert (found.collected, found.archived, found.quarantined, found.balanced) == (4, 1, 3, True)


def test_of_two_images_of_one_id_one_is_refused_while_both_wait_for_the_mask(storage: Storage, cells: Settings) -> None:
    collect(storage, "images/a.png", "images/a.jpg", *pair("b"))
    batch = freeze(storage, cells, "run 1")
    assert (batch.samples, batch.refused, batch.incomplete) == (1, 1, 1)
    refused = next(entry for entry in read_manifest(storage, batch.id) if entry.refused is not None)
    (kept,) = {"images/a.png", "images/a.jpg"} - {refused.object}
    assert refused.refused == f"{kept!r} is the image of the same sample: keep one of the two"
    assert refused.parts is None
    settle(storage, batch.id)
    assert names(storage, "inbox") == {kept}
    collect(storage, "masks/a.png")
    assert freeze(storage, cells, "run 2").samples == 1
    found = audit(storage, KIND)
    assert (found.collected, found.quarantined, found.incomplete, found.balanced) == (3, 1, 0, True)


def test_a_limited_batch_holds_whole_samples_and_the_next_one_the_rest(storage: Storage, cells: Settings) -> None:
    for number in range(9):
        collect(storage, *pair(str(number)))
    seen: set[str] = set()
    for run in range(3):
        batch = freeze(storage, cells, f"run {run}", max_samples=3)
        assert (batch.samples, batch.incomplete) == (3, 0)
        seen |= {each.object for entry in read_manifest(storage, batch.id) for each in entry.objects}
        settle(storage, batch.id)
    assert len(seen) == 18
    assert names(storage, "inbox") == set()


def test_a_counterpart_that_is_added_or_replaced_after_the_freeze_belongs_to_the_next_batch(
    storage: Storage, cells: Settings
) -> None:
    collect(storage, *pair("a"), "images/b.png")
    first = freeze(storage, cells, "run 1")
    collect(storage, "masks/b.png")
    storage.write("inbox/masks/a.png", b"a better mask")
    assert set(entries(storage, first)) == {"images/a.png"}
    assert freeze(storage, cells, "run 1") == first
    settled = settle(storage, first.id)
    assert settled.settlement == Settlement(archived=1)
    assert vanished(storage, first) == {"masks/a.png": "replaced after the batch was frozen"}
    assert names(storage, f"archive/{first.id}") == {"images/a.png"}
    assert names(storage, "inbox") == {*pair("b"), "masks/a.png"}
    storage.write("inbox/images/a.png", b"the image again")
    second = freeze(storage, cells, "run 2")
    assert set(entries(storage, second)) == {"images/a.png", "images/b.png"}
    assert settle(storage, second.id).settlement == Settlement(archived=2)
    found = audit(storage, KIND)
    assert (found.collected, found.archived, found.incomplete, found.balanced) == (3, 3, 0, True)


def test_a_sample_of_which_the_first_object_vanished_has_vanished_and_the_rest_of_it_moves(
    storage: Storage, cells: Settings
) -> None:
    collect(storage, *pair("a"), *pair("b"), *pair("c"))
    batch = freeze(storage, cells, "run 1")
    storage.delete("inbox/images/a.png")
    storage.delete("inbox/masks/b.png")
    refuse(storage, batch, "images/a.png")
    settled = settle(storage, batch.id)
    assert settled.settlement == Settlement(archived=2, vanished=1)
    gone = "deleted from the inbox after the batch was frozen"
    assert vanished(storage, batch) == {"images/a.png": gone, "masks/b.png": gone}
    assert names(storage, f"quarantine/{batch.id}/samples") == {"masks/a.png"}
    assert names(storage, f"archive/{batch.id}") == {"images/b.png", *pair("c")}
    assert names(storage, "inbox") == set()
    found = audit(storage, KIND)
    assert (found.collected, found.vanished, found.lost, found.balanced) == (3, 1, 0, True)


def test_a_refused_sample_goes_to_quarantine_with_all_its_objects(storage: Storage, cells: Settings) -> None:
    collect(storage, *pair("a"), *pair("b"))
    batch = freeze(storage, cells, "run 1")
    refuse(storage, batch, "images/a.png")
    assert settle(storage, batch.id).settlement == Settlement(archived=1, quarantined=1)
    assert names(storage, f"quarantine/{batch.id}") == {"reasons.jsonl", "samples/images/a.png", "samples/masks/a.png"}


@pytest.mark.parametrize("moved", ["images/a.png", "masks/a.png"])
def test_a_sample_that_is_refused_while_it_is_settled_is_not_torn_apart(
    storage: Storage, cells: Settings, moved: str
) -> None:
    """The step that reads a half-settled sample finds it gone, and refuses it."""
    collect(storage, *pair("a"))
    batch = freeze(storage, cells, "run 1")
    storage.move(f"inbox/{moved}", layout.archived(batch.id, moved))
    refuse(storage, batch, "images/a.png")
    if moved == "masks/a.png":
        storage.delete("inbox/images/a.png")
    settle(storage, batch.id)
    assert names(storage, f"quarantine/{batch.id}/samples") == set()
    assert names(storage, "inbox") == set()


def test_a_return_that_began_to_quarantine_is_finished_with_it(storage: Storage, cells: Settings) -> None:
    collect(storage, *pair("a"), *pair("b"))
    batch = freeze(storage, cells, "run 1")
    refuse(storage, batch, "images/a.png")
    storage.move("inbox/images/a.png", layout.quarantined(batch.id, "images/a.png"))
    returned = return_batch(storage, batch.id)
    assert returned is not None
    assert returned.settlement == Settlement(quarantined=1)
    assert names(storage, f"quarantine/{batch.id}/samples") == {*pair("a")}
    assert names(storage, "inbox") == {*pair("b")}
    with pytest.raises(ConflictError, match="start a new run"):
        freeze(storage, cells, "run 1")


def test_a_returned_batch_is_as_if_it_had_never_been(storage: Storage, cells: Settings) -> None:
    collect(storage, *pair("a"))
    batch = freeze(storage, cells, "run 1")
    return_batch(storage, batch.id)
    assert count(storage, KIND, 10) == 1
    collect(storage, *pair("b"), "masks/c.png")
    found = audit(storage, KIND)
    assert (found.collected, found.inbox, found.incomplete, found.balanced) == (2, 2, 1, True)
    assert freeze(storage, cells, "run 2").samples == 2
