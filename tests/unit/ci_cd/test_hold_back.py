"""Which samples of a local run are held back from its training."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

from ml.local_run import hold_back


def test_a_quarter_is_held_back_of_every_label_whatever_the_order_of_the_files() -> None:
    files = [Path(label) / f"{label}-{number}.png" for label in "abcd" for number in range(50)]
    trained, held_back = hold_back(files)
    assert sorted(trained + held_back) == sorted(files)
    assert len(held_back) == 50
    assert {file.parent.name for file in held_back} == {file.parent.name for file in trained} == set("abcd")
    assert hold_back(random.Random(3).sample(files, len(files))) == (trained, held_back)


def test_names_that_count_through_the_labels_do_not_hold_back_some_labels_alone() -> None:
    trained, held_back = hold_back([Path(str(number % 10)) / f"digit-{number:04}.png" for number in range(480)])
    assert len({file.parent.name for file in held_back}) == len({file.parent.name for file in trained}) == 10


def test_an_image_and_its_mask_stay_together() -> None:
    files = [Path(folder) / f"{number}.png" for folder in ("images", "masks") for number in range(40)]
    for part in hold_back(files):
        images, masks = ({file.name for file in part if file.parent.name == folder} for folder in ("images", "masks"))
        assert images == masks
        assert images


def test_of_few_samples_one_is_held_back() -> None:
    trained, held_back = hold_back([Path("a/1.png"), Path("a/2.png")])
    assert (len(trained), len(held_back)) == (1, 1)


def test_what_is_never_a_sample_is_neither_trained_on_nor_held_back() -> None:
    files = [Path("a/1.png"), Path("a/2.png"), Path("a/.DS_Store"), Path("__MACOSX/a/1.png")]
    trained, held_back = hold_back(files)
    assert sorted(trained + held_back) == files[:2]


def test_an_image_and_its_mask_stay_together_in_whatever_form_of_unicode_their_names_are() -> None:
    stems = [f"caf\u00e9 {number}" for number in range(8)]
    files = [Path(f"images/{s}.png") for s in stems]
    files += [Path(f"masks/{unicodedata.normalize('NFD', s)}.png") for s in stems]
    for part in hold_back(files):
        stems = [unicodedata.normalize("NFC", file.stem) for file in part]
        assert all(stems.count(stem) == 2 for stem in stems)
