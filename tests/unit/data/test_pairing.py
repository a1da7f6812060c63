"""The objects of samples find each other, whatever order they come in, and at what cost."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.data_sufficiency import Requirement, Stock, shortage
from ml.errors import NotFoundError
from ml.freezing import freeze
from ml.inbox import count, samples, take_stock
from ml.kinds.kind import Part, Unusable
from ml.kinds.semantic_segmentation.kind import KIND, SemanticSegmentation
from ml.pairing import InboxSample, Pairing
from ml.settings import Settings
from ml.storage import ObjectInfo, Storage
from tests.unit.data.collecting import collect

PAGE = 1_000


class PagedStorage:
    """A remote storage whose inbox holds so many images and masks, of the same ids, listed in pages of :data:`PAGE`;
    ``listed`` counts the objects in the pages that were asked for."""

    def __init__(self, images: int, masks: int) -> None:
        self.objects = {"images": images, "masks": masks}
        self.listed = 0

    def child(self, prefix: str) -> PagedStorage:
        assert prefix == "inbox"
        return self

    def folders(self, prefix: str = "") -> Sequence[str]:
        return sorted(self.objects)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        for first in range(0, self.objects[prefix], PAGE):
            page = range(first, min(first + PAGE, self.objects[prefix]))
            self.listed += len(page)
            yield from [ObjectInfo(f"{prefix}/{number:07}.png", size=700, generation="1") for number in page]

    def read(self, name: str) -> bytes:
        raise NotFoundError(name)


def info(name: str) -> ObjectInfo:
    return ObjectInfo(name, size=1, generation="1")


def part(name: str) -> Part:
    found = KIND.part_of(name)
    assert isinstance(found, Part)
    return found


NAMES = [f"{folder}/{stem}.{end}" for stem in "abc" for folder, end in (("images", "png"), ("masks", "png"))]
TWINS = ["images/a.jpg", "images/b.jpeg", "masks/c.PNG"]


@given(names=st.lists(st.sampled_from([*NAMES, *TWINS]), unique=True).flatmap(st.permutations))
def test_in_any_order_each_object_is_told_once_or_waits_and_what_belongs_together_comes_together(
    names: Sequence[str],
) -> None:
    pairing = Pairing(KIND.roles)
    found = [sample for name in names if (sample := pairing.add(info(name), part(name))) is not None]
    whole = [sample for sample in found if isinstance(sample.found, Part)]
    told = [each.name for sample in found for each in sample.objects]
    assert len(told) == len(set(told)) == len(names) - pairing.waiting
    for sample in whole:
        assert [part(each.name) for each in sample.objects] == [
            Part(sample.found.sample, "image"),  # type: ignore[union-attr]
            Part(sample.found.sample, "mask"),  # type: ignore[union-attr]
        ]
    complete = {
        stem for stem in "abc" if {part(name).role for name in names if part(name).sample == stem} == {*KIND.roles}
    }
    assert {sample.found.sample for sample in whole if isinstance(sample.found, Part)} == complete


@given(names=st.sets(st.sampled_from(NAMES)).flatmap(lambda found: st.permutations(sorted(found))))
def test_without_twins_nothing_is_unusable_and_as_many_wait_as_have_no_counterpart(names: Sequence[str]) -> None:
    pairing = Pairing(KIND.roles)
    found = [sample for name in names if (sample := pairing.add(info(name), part(name))) is not None]
    assert all(isinstance(sample.found, Part) for sample in found)
    assert pairing.waiting == len(names) - 2 * len(found)


def test_the_second_object_of_a_role_is_unusable_while_the_first_one_waits() -> None:
    pairing = Pairing(KIND.roles)
    assert pairing.add(info("images/a.png"), part("images/a.png")) is None
    twin = pairing.add(info("images/a.jpg"), part("images/a.jpg"))
    reason = "'images/a.png' is the image of the same sample: keep one of the two"
    assert twin == InboxSample((info("images/a.jpg"),), Unusable(reason))
    whole = pairing.add(info("masks/a.png"), part("masks/a.png"))
    assert whole == InboxSample((info("images/a.png"), info("masks/a.png")), Part("a", "image"))
    assert pairing.waiting == 0


def test_an_object_that_was_replaced_while_it_was_listed_is_no_twin_of_itself() -> None:
    pairing = Pairing(KIND.roles)
    pairing.add(info("images/a.png"), part("images/a.png"))
    newer = ObjectInfo("images/a.png", size=2, generation="2")
    assert pairing.add(newer, part("images/a.png")) is None
    whole = pairing.add(info("masks/a.png"), part("masks/a.png"))
    assert whole is not None
    assert whole.objects[0] is newer


def test_of_a_million_samples_no_page_of_either_role_is_listed_beyond_the_threshold() -> None:
    inbox: Any = PagedStorage(images=1_000_000, masks=1_000_000)
    assert count(inbox, KIND, 2_500) == 2_500
    assert inbox.listed == 2 * 3 * PAGE


def test_counting_all_samples_takes_memory_for_those_that_wait_only() -> None:
    inbox: Any = PagedStorage(images=100_000, masks=100_000)
    tracemalloc.start()
    found = take_stock(inbox, KIND, Requirement(1_000_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == Stock(100_000)
    assert peak < 2_000_000  # two pages are some 600 kB; all the names would be 60 MB


def test_files_that_wait_for_their_counterpart_are_told_where_samples_are_missing() -> None:
    inbox: Any = PagedStorage(images=5, masks=3)
    needed = Requirement(4)
    stock = take_stock(inbox, KIND, needed)
    assert stock == Stock(3, waiting=2)
    told = "3 of 4 samples in the inbox, where 2 files wait for their counterparts"
    assert shortage(needed, stock) == told
    assert take_stock(inbox, KIND, Requirement(3)) == Stock(3)
    assert shortage(needed, Stock(3, waiting=1)) == (
        "3 of 4 samples in the inbox, where 1 file waits for its counterpart"
    )


def test_a_sample_counts_when_all_of_it_is_there_and_none_of_it_is_empty_or_frozen(
    storage: Storage, cells: Settings
) -> None:
    collect(storage, "images/a.png", "masks/b.png", "images/c.jpg", "readme.txt", "masks/x.jpg")
    storage.write("inbox/masks/c.png", b"")
    assert count(storage, KIND, 10) == 0
    collect(storage, "masks/a.png", "images/b.png", "images/b.jpg")
    assert count(storage, KIND, 10) == 2
    freeze(storage, cells, "run 1")
    assert count(storage, KIND, 10) == 0
    collect(storage, "masks/d.png")
    storage.write("inbox/masks/a.png", b"replaced: the mask of an image that is still to come")
    assert count(storage, KIND, 10) == 0
    collect(storage, "images/d.png")
    storage.write("inbox/images/a.png", b"replaced as well: a new sample")
    assert count(storage, KIND, 10) == 2


def found_in(storage: Storage, kind: SemanticSegmentation) -> tuple[dict[str, Part | Unusable], int]:
    pairing = Pairing(kind.roles)
    found = {" + ".join(each.name for each in objects): what for objects, what in samples(storage, kind, pairing)}
    return found, pairing.waiting


def test_what_lies_in_no_roles_folder_is_told_as_unusable(storage: Storage) -> None:
    inbox = storage.child("inbox")
    for name in ("images/a.png", "masks/a.png", "images/b.png", "a.png", "0/masks/a.png", "masks2/a.png"):
        inbox.write(name, b"content")
    found, waiting = found_in(inbox, KIND)
    assert waiting == 1
    assert found.pop("images/a.png + masks/a.png") == Part("a", "image")
    assert set(found) == {"a.png", "0/masks/a.png", "masks2/a.png"}
    assert all(isinstance(what, Unusable) for what in found.values())


def test_a_file_or_a_link_in_the_place_of_a_roles_folder_is_an_unusable_object(storage: Storage, root: Any) -> None:
    inbox = storage.child("inbox")
    inbox.write("images", b"not a folder")
    (root / "elsewhere").mkdir()
    (root / "elsewhere" / "a.png").write_bytes(b"mask")
    (root / "inbox" / "masks").symlink_to(root / "elsewhere")
    found, waiting = found_in(inbox, KIND)
    assert waiting == 0
    assert set(found) == {"images", "masks"}
    assert count(storage, KIND, 1) == 0


class Sorted(SemanticSegmentation):
    """Images and masks sorted into folders by label: ``images/<label>/<id>.png``."""

    def part_of(self, name: str) -> Part | Unusable:
        role, _, rest = name.partition("/")
        label, _, stem = rest.partition("/")
        found = super().part_of(f"{role}/{stem}")
        return Part(f"{label}/{found.sample}", found.role, label) if isinstance(found, Part) else found

    def class_folder(self, label: str) -> str:
        return label


class Beside(SemanticSegmentation):
    """The mask beside the image: ``<id>.jpg`` and ``<id>.png``, in any folder."""

    roles = {"image": "", "mask": ""}  # noqa: RUF012

    def part_of(self, name: str) -> Part | Unusable:
        stem, _, extension = name.rpartition(".")
        return Part(stem, "mask" if extension == "png" else "image")


def test_each_class_is_counted_in_its_folder_of_each_role(storage: Storage) -> None:
    kind = Sorted()
    collect(storage, "images/x/1.png", "masks/x/1.png", "images/x/2.png", "masks/x/2.png", "images/y/1.png")
    assert take_stock(storage, kind, Requirement(2, 2, ("x", "y"))) == Stock(2, {"x": 2})
    collect(storage, "masks/y/1.png")
    assert take_stock(storage, kind, Requirement(3, 1)) == Stock(3, {"x": 1, "y": 1})
    assert take_stock(storage, kind, Requirement(3, 5, ("x", "y"))) == Stock(3, {"x": 2, "y": 1})


def test_roles_that_share_a_folder_are_listed_once(storage: Storage) -> None:
    inbox = storage.child("inbox")
    for name in ("a.jpg", "a.png", "deep/b.png", "deep/b.jpg", "c.png"):
        inbox.write(name, b"content")
    found, waiting = found_in(inbox, Beside())
    assert set(found) == {"a.jpg + a.png", "deep/b.jpg + deep/b.png"}
    assert waiting == 1


@pytest.mark.parametrize("kind", [KIND, Sorted(), Beside()])
def test_an_inbox_that_is_not_there_holds_nothing(storage: Storage, kind: SemanticSegmentation) -> None:
    assert found_in(storage.child("inbox"), kind) == ({}, 0)
    assert take_stock(storage, kind, Requirement(1)) == Stock(0)
