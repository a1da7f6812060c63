"""Photographs with an orientation in EXIF and masks that people drew on them, as they see them."""

from __future__ import annotations

import numpy as np
import pytest

from ml.kinds.kind import Collected, Inspected, Refused
from ml.kinds.semantic_segmentation.inspection import MaskInspector
from ml.kinds.semantic_segmentation.pictures import case_pictures
from ml.kinds.semantic_segmentation.settings import SegmentationSettings
from ml.settings import Settings
from tests.ml.images.turned import encode, photograph, stored

CLASSES = [{"id": number, "name": str(number), "colour": "#00ff00"} for number in range(2)]
MODEL = SegmentationSettings.model_validate({"classes": CLASSES})
SETTINGS = Settings.model_validate({"name": "scenes", "kind": "semantic_segmentation", "model": MODEL})
#: A bright corner, which is of class 1.
UPRIGHT = np.zeros((20, 30, 3), np.uint8)
UPRIGHT[:6, :9] = 250
MASK = (UPRIGHT[..., 0] > 200).astype(np.uint8)


def inspected(*samples: tuple[bytes, bytes]) -> list[Inspected | Refused]:
    collected = [Collected(objects, None) for objects in samples]
    return [found for part in MaskInspector(SETTINGS).inspect(collected) for found in part]


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_mask_fits_the_photograph_as_people_see_it(order: str) -> None:
    samples = [(photograph(UPRIGHT, orientation, "PNG", order), encode(MASK)) for orientation in range(1, 9)]
    found = inspected(*samples)
    assert all(isinstance(one, Inspected) for one in found)
    assert len({(one.content, one.truth, one.statistics) for one in found if isinstance(one, Inspected)}) == 1


def test_a_mask_of_the_stored_pixels_is_refused_where_the_photograph_lies_on_its_side() -> None:
    (found,) = inspected((photograph(UPRIGHT, 6), encode(stored(MASK, 6))))
    assert found == "the mask is 20 × 30, and its image 30 × 20"


def test_a_mask_may_have_an_orientation_of_its_own() -> None:
    one, other = inspected(
        (photograph(UPRIGHT, 6, "JPEG"), photograph(MASK, 8)), (photograph(UPRIGHT, 6, "JPEG"), encode(MASK))
    )
    assert isinstance(one, Inspected)
    assert one == other


def test_the_report_shows_photograph_truth_and_errors_upright() -> None:
    turned = case_pictures(photograph(UPRIGHT, 6), encode(MASK), encode(MASK), MODEL, 10_000)
    assert turned == case_pictures(encode(UPRIGHT), encode(MASK), encode(MASK), MODEL, 10_000)
    assert all(picture.png for picture in turned)
