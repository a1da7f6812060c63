"""A batch's samples as they are read: what was frozen, to the bit, or why not."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from ml.batches import read_manifest
from ml.fetching import Fetched, fetch
from ml.freezing import freeze
from ml.records import ManifestEntry
from ml.settings import Settings
from ml.storage import Storage
from tests.unit.data.collecting import collect


def frozen(storage: Storage, settings: Settings, *names: str) -> list[ManifestEntry]:
    collect(storage, *names)
    return list(read_manifest(storage, freeze(storage, settings, "run 1").id))


def fetched(storage: Storage, entries: Iterable[ManifestEntry], *, whole: bool) -> dict[str, Fetched]:
    return {sample.entry.object: sample for group in fetch(storage, entries, whole=whole) for sample in group}


def spoil(storage: Storage, folder: str) -> None:
    """One object is deleted, one replaced."""
    storage.delete(f"inbox/{folder}/1.png")
    storage.write(f"inbox/{folder}/2.png", b"something else")


PAIRS = [f"{folder}/{number}.png" for number in range(20) for folder in ("images", "masks")]


def test_all_objects_are_read_in_the_order_of_the_roles_and_samples_in_the_manifests(
    storage: Storage, cells: Settings
) -> None:
    entries = frozen(storage, cells, *PAIRS)
    found = fetched(storage, entries, whole=True)
    assert list(found) == [entry.object for entry in entries]
    for sample in found.values():
        assert sample.missing is None
        assert sample.objects == tuple(each.object.encode() for each in sample.entry.objects)
        assert len(sample.objects) == 2


def test_the_first_objects_alone_are_read_where_no_more_is_asked_for(storage: Storage, cells: Settings) -> None:
    entries = frozen(storage, cells, *PAIRS)
    spoil(storage, "masks")
    found = fetched(storage, entries, whole=False)
    assert {sample.missing for sample in found.values()} == {None}
    assert {sample.objects for sample in found.values()} == {(entry.object.encode(),) for entry in entries}


@pytest.mark.parametrize(("folder", "role"), [("images", "image"), ("masks", "mask")])
def test_an_object_that_is_not_as_it_was_frozen_refuses_the_sample_and_the_reason_names_its_role(
    storage: Storage, cells: Settings, folder: str, role: str
) -> None:
    entries = frozen(storage, cells, *PAIRS)
    spoil(storage, folder)
    found = fetched(storage, entries, whole=True)
    assert {name: sample.missing for name, sample in found.items() if sample.missing is not None} == {
        "images/1.png": f"the {role} vanished after the batch was frozen",
        "images/2.png": f"the {role} was replaced after the batch was frozen",
    }
    assert found["images/1.png"].objects == (b"",)


def test_a_damaged_object_refuses_the_sample(storage: Storage, cells: Settings) -> None:
    (entry,) = frozen(storage, cells, "images/a.png", "masks/a.png")
    assert entry.parts is not None
    damaged = entry.model_copy(update={"parts": [entry.parts[0].model_copy(update={"crc32c": "AAAAAA=="})]})
    found = fetched(storage, [damaged], whole=True)["images/a.png"]
    assert found.missing == "the mask's bytes differ from the manifest's checksum"
    assert fetched(storage, [damaged], whole=False)["images/a.png"].missing is None


def test_a_link_in_the_place_of_a_mask_refuses_the_sample(storage: Storage, root: Path, cells: Settings) -> None:
    entries = frozen(storage, cells, "images/a.png", "masks/a.png")
    mask = root / "inbox" / "masks" / "a.png"
    mask.unlink()
    mask.symlink_to("../images/a.png")
    found = fetched(storage, entries, whole=True)["images/a.png"]
    assert found.missing == "the mask was replaced after the batch was frozen"


@pytest.mark.parametrize("whole", [True, False])
def test_a_sample_of_one_object_is_told_without_a_role(storage: Storage, settings: Settings, whole: bool) -> None:
    entries = frozen(storage, settings, "3/0.png", "3/1.png", "3/2.png", "readme.txt")
    spoil(storage, "3")
    found = fetched(storage, entries, whole=whole)
    assert found["3/0.png"].objects == (b"3/0.png",)
    assert found["3/1.png"].missing == "vanished after the batch was frozen"
    assert found["3/2.png"].missing == "was replaced after the batch was frozen"
    assert found["readme.txt"].missing == "the layout is not <label>/<id>.<png|jpg|jpeg>: no label"
