"""What counts as a part of a sample of semantic segmentation, from its name alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import SettingsError
from ml.kinds import kind_of
from ml.kinds.kind import Part, Unusable
from ml.kinds.semantic_segmentation.kind import KIND
from ml.settings import Settings


@pytest.mark.parametrize(
    ("name", "sample", "role"),
    [
        ("images/a.png", "a", "image"),
        ("images/a.JPG", "a", "image"),
        ("images/a.b.jpeg", "a.b", "image"),
        ("masks/a.png", "a", "mask"),
        ("masks/a.b.PNG", "a.b", "mask"),
        ('images/it\'s a "cell" ü 猫.png', 'it\'s a "cell" ü 猫', "image"),
    ],
)
def test_a_name_of_the_layout_tells_sample_and_role(name: str, sample: str, role: str) -> None:
    assert KIND.part_of(name) == Part(sample, role)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.png", "in neither images nor masks"),
        ("images", "in neither images nor masks"),
        ("Images/a.png", "in neither images nor masks"),
        ("labels/a.png", "in neither images nor masks"),
        ("", "in neither images nor masks"),
        ("images/train/a.png", "too many folders"),
        ("images/a.gif", "not one of png, jpg, jpeg"),
        ("masks/a.jpg", "not one of png"),
        ("masks/.png", "blank"),
        ("images/../a.png", "leads elsewhere"),
        ("masks/new\nline.png", "control character"),
        ("masks/\uefff.png", "not UTF-8"),
    ],
)
def test_any_other_name_is_refused_with_the_reason(name: str, reason: str) -> None:
    found = KIND.part_of(name)
    assert isinstance(found, Unusable)
    assert reason in found.reason


@given(stem=st.text(min_size=1), extension=st.sampled_from(["png", "jpg", "jpeg"]))
def test_an_image_and_a_mask_of_one_id_belong_together(stem: str, extension: str) -> None:
    image, mask = KIND.part_of(f"images/{stem}.{extension}"), KIND.part_of(f"masks/{stem}.png")
    if isinstance(image, Part):
        assert isinstance(mask, Part)
        assert image.sample == mask.sample == stem
    else:
        assert isinstance(mask, Unusable)


def test_a_minimum_for_each_class_is_refused_since_names_tell_no_class(cells: Settings) -> None:
    assert kind_of(cells) is KIND
    KIND.check(cells)
    rules = cells.evaluation.model_copy(update={"min_samples_per_class": 1})
    with pytest.raises(SettingsError, match="min_samples_per_class"):
        KIND.check(cells.model_copy(update={"evaluation": rules}))
