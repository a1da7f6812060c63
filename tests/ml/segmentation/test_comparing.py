"""Two segmenters on the same images."""

from __future__ import annotations

import numpy as np
import pytest

from ml.kinds.kind import Refused
from ml.kinds.semantic_segmentation.comparing import MaskComparer
from ml.kinds.semantic_segmentation.inspection import encode_example
from ml.kinds.semantic_segmentation.masks import Ids, encode_mask
from ml.kinds.semantic_segmentation.serving import Answer, Encoded
from ml.kinds.semantic_segmentation.settings import SegmentationClass, SegmentationSettings

tf = pytest.importorskip("tensorflow")

CLASSES = tuple(SegmentationClass(id=number, name=name, colour="#000000") for number, name in ((0, "sky"), (7, "tree")))
MODEL = SegmentationSettings(classes=CLASSES)


def answer(mask: Ids) -> Answer:
    return Answer(Encoded(encode_mask(mask)), [], 1.0)


def mask(*columns: int) -> Ids:
    return np.tile(np.array(columns, np.uint8), (4, 1))


def example(truth: Ids) -> object:
    return tf.train.Example.FromString(encode_example(b"", encode_mask(truth)))


def compared(
    truth: Ids, candidate: Answer | Refused, champion: Answer | Refused, ignored: tuple[str, ...] = ()
) -> tuple[float, float]:
    comparer = MaskComparer(MODEL, ignored)
    comparer.add(example(truth), candidate, champion)
    found = comparer.evidence(0.01, 0.05)
    assert found is not None
    return found.candidate, found.champion


def test_each_model_gets_its_mean_iou() -> None:
    truth = mask(0, 0, 7, 7)
    assert compared(truth, answer(truth), answer(mask(0, 7, 7, 7))) == pytest.approx((1.0, (1 / 2 + 2 / 3) / 2))


def test_an_answer_that_is_missing_is_wrong_everywhere() -> None:
    assert compared(mask(0, 7), Refused("no answer"), answer(mask(0, 7))) == (0.0, 1.0)


def test_what_is_of_no_class_in_the_truth_is_left_out_and_in_an_answer_is_wrong() -> None:
    """As where the champion was trained with a class that the settings have no longer."""
    assert compared(mask(0, 7, 9, 255), answer(mask(0, 7, 0, 0)), answer(mask(9, 7, 9, 9))) == (1.0, 0.5)
    assert compared(mask(0, 7), answer(mask(0, 0)), answer(mask(7, 7)), ("tree",)) == (1.0, 0.0)


def test_an_answer_of_another_size_can_t_be_compared() -> None:
    with pytest.raises(ValueError, match="a mask of"):
        compared(mask(0, 7), answer(mask(0)), answer(mask(0, 7)))


def test_images_are_evidence_and_not_pixels() -> None:
    comparer = MaskComparer(MODEL, ())
    for _ in range(10):
        comparer.add(example(mask(0, 7)), answer(mask(0, 7)), answer(mask(7, 0)))
    found = comparer.evidence(0.01, 0.05)
    assert found is not None
    assert (found.examples, found.p_better) == (10, 1.0), "ten images claim nothing, however many pixels they have"
