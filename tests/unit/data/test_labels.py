"""Labels and ids in Unicode: what looks the same is the same, and what nearly does is named."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.audit import audit
from ml.batches import read_manifest
from ml.data_sufficiency import Requirement, Stock, requirement
from ml.evaluation.records import ClassScore
from ml.freezing import freeze
from ml.inbox import count, take_stock
from ml.kinds.image_classification.kind import KIND
from ml.kinds.kind import Part, Unusable
from ml.kinds.semantic_segmentation.kind import KIND as MASKS
from ml.kinds.semantic_segmentation.settings import SegmentationSettings
from ml.labels import Spellings, alike, normal_label
from ml.records import ManifestEntry, ReleaseRecord, now
from ml.releases import record_release, serve
from ml.settings import Settings
from ml.settings_sections import EvaluationSettings
from ml.settling import settle
from ml.storage import Storage
from tests.unit.data.collecting import collect, names

NFC, NFD = "caf\u00e9", "cafe\u0301"
#: With a zero-width non-joiner, which belongs to the word.
PERSIAN = "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"


@pytest.mark.parametrize(
    ("written", "label"),
    [
        (NFD, NFC),
        ("cat ", "cat"),
        (" cat", "cat"),
        ("cat\u200b", "cat"),
        ("\ufeffcat", "cat"),
        ("\u00a0cat\u3000", "cat"),
        ("ca\u2060t", "cat"),
        ("\u200b ", ""),
        ("Cat", "Cat"),
        ("tabby  cat", "tabby  cat"),
        (PERSIAN, PERSIAN),
        ("\u732b", "\u732b"),
    ],
)
def test_a_label_has_one_form(written: str, label: str) -> None:
    assert normal_label(written) == label


@given(st.text())
def test_the_form_of_a_form_is_the_same(text: str) -> None:
    form = normal_label(text)
    assert normal_label(form) == form
    assert normal_label(unicodedata.normalize("NFD", form)) == form


def test_labels_that_nearly_look_the_same_are_alike() -> None:
    assert len(set(map(alike, ("Tabby Cat", "tabby  cat", "tabby\u00a0cat", "tab\u00adby cat", "\uff54abby cat")))) == 1
    assert len(set(map(alike, ("cat", "cats", "\u732b", "c at", "caf\u00e9", "cafe")))) == 6


def test_other_spellings_and_near_equal_labels_are_named_and_nfc_is_silent() -> None:
    spellings = Spellings()
    for written in (NFC, NFD, "cat", "cat ", "cat\u200b", "Dog", "bird"):
        spellings.add(normal_label(written), written)
    assert spellings.warnings(known=["dog", "BIRD\u200b", "fish", "Fish"]) == [
        "label 'cat' is also written 'cat ', 'cat\\u200b': they count as one label",
        "labels 'BIRD', 'bird' differ only in case, white space or invisible characters and are different classes: if "
        "they are one, return the batch and rename their folders",
        "labels 'Dog', 'dog' differ only in case, white space or invisible characters and are different classes: if "
        "they are one, return the batch and rename their folders",
    ]


def test_of_many_warnings_ten_are_given_and_the_others_counted() -> None:
    spellings = Spellings()
    for number in range(25):
        spellings.add(str(number), f"{number} ")
    assert len(spellings.warnings()) == 11
    assert spellings.warnings()[-1] == "15 more like the last one"


def test_a_label_of_nothing_visible_is_blank() -> None:
    found = KIND.part_of("\u200b/a.png")
    assert isinstance(found, Unusable)
    assert "blank" in found.reason


def test_folders_of_one_label_are_one_class_and_keep_their_names(storage: Storage, settings: Settings) -> None:
    objects = {f"{NFC}/a.png", f"{NFD}/a.png", "cat/a.png", "cat /a.png", "cat\u200b/a.png", "Cat/a.png"}
    collect(storage, *objects)
    batch = freeze(storage, settings, "run 1")
    entries = list(read_manifest(storage, batch.id))
    assert {entry.object for entry in entries} == objects
    assert sorted(entry.label or "" for entry in entries) == sorted([NFC, NFC, "cat", "cat", "cat", "Cat"])
    assert [warning.split(" ")[:2] for warning in batch.warnings] == [["label", "'cat'"], ["labels", "'Cat',"]]
    settle(storage, batch.id)
    assert names(storage, f"archive/{batch.id}") == objects
    assert audit(storage, KIND).archived == 6


def test_a_label_that_is_nearly_one_of_the_release_is_named_at_the_freeze(storage: Storage, settings: Settings) -> None:
    record = ReleaseRecord(version=1, run="r", window=[1], created=now(), metrics={}, classes=["cat"], code="0")
    record_release(storage, record)
    storage.write("models/1/saved_model.pb", b"model")
    serve(storage, 1, "the first one")
    collect(storage, "Cat/a.png")
    (warning,) = freeze(storage, settings, "run 1").warnings
    assert warning.startswith("labels 'Cat', 'cat' differ only in case")


def test_each_class_is_counted_in_every_folder_that_has_its_name_in_some_form(storage: Storage) -> None:
    collect(storage, f"{NFC}/a.png", f"{NFD}/b.png", "cat /a.png", "dog/a.png", ".cat/a.png")
    needed = requirement(EvaluationSettings(min_samples=9, min_samples_per_class=3), [NFD, "cat", "bird"])
    assert needed.classes == (NFC, "cat", "bird")
    assert take_stock(storage, KIND, needed) == Stock(4, {NFC: 2, "cat": 1})
    assert take_stock(storage, KIND, Requirement(9, 3)) == Stock(4, {NFC: 2, "cat": 1, "dog": 1})


def test_an_image_and_its_mask_are_one_sample_in_whatever_form_their_names_are(
    storage: Storage, cells: Settings
) -> None:
    collect(storage, f"images/{NFC}.png", f"masks/{NFD}.png")
    assert count(storage, MASKS, 2) == 1
    assert (audit(storage, MASKS).inbox, audit(storage, MASKS).incomplete) == (1, 0)
    batch = freeze(storage, cells, "run 1")
    assert (batch.samples, batch.incomplete) == (1, 0)
    settle(storage, batch.id)
    assert names(storage, f"archive/{batch.id}") == {f"images/{NFC}.png", f"masks/{NFD}.png"}


def test_a_mask_written_as_its_image_is_never_given_to_another_one(storage: Storage, cells: Settings) -> None:
    pairs = [(f"images/{form}.png", f"masks/{form}.png") for form in (NFC, NFD)]
    collect(storage, *pairs[0], *pairs[1], f"masks/{NFD}2.png", f"images/{NFC}2.png", f"images/{NFD}2.png")
    batch = freeze(storage, cells, "run 1")
    made = {tuple(each.object for each in entry.objects) for entry in read_manifest(storage, batch.id)}
    assert made == {*pairs, (f"images/{NFD}2.png", f"masks/{NFD}2.png")}
    assert (batch.refused, batch.incomplete) == (0, 1)


def test_a_manifest_from_before_gives_labels_in_their_one_form() -> None:
    line = ManifestEntry(index=0, object=f"{NFD}/a.png", generation="1", size=1, crc32c="", label=NFD)
    assert (line.object, line.label) == (f"{NFD}/a.png", NFC)


def test_a_part_keeps_how_its_label_was_written() -> None:
    part = KIND.part_of(f"{NFD}/a.png")
    assert isinstance(part, Part)
    assert (part.label, part.written) == (NFC, NFD)


def test_the_level_of_people_is_found_by_the_label_in_any_form() -> None:
    score = ClassScore.against_people({f"{NFD} ": 0.9}, label=NFC, seen=True, count=1, correct=1, score=1.0, share=1.0)
    assert score.human_level == 0.9


def test_classes_of_a_segmenter_have_their_one_form_and_no_two_are_the_same() -> None:
    def settings(*class_names: str) -> SegmentationSettings:
        classes = [{"id": n, "name": name, "colour": "#000000"} for n, name in enumerate(class_names)]
        return SegmentationSettings.model_validate({"classes": classes})

    assert settings(NFD, "cat ").names == [NFC, "cat"]
    with pytest.raises(ValueError, match=f"two classes have the name '{NFC}'"):
        settings(NFC, NFD)
