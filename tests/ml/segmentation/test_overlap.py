"""Intersection over union, and how sure it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ml.kinds.semantic_segmentation.overlap import confusion, index_table, intervals, iou, mean_iou, overlaps

TABLE = index_table([0, 7, 3])
IGNORED = 255


def mask(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.uint8)


def test_pixels_are_counted_by_true_and_predicted_class_without_the_ignored_ones() -> None:
    found = confusion(mask([0, 7, 7], [3, IGNORED, 0]), mask([0, 7, 0], [7, 3, 0]), TABLE)
    assert found.tolist() == [[2, 0, 0], [1, 1, 0], [0, 1, 0]]


def test_a_class_that_neither_mask_has_is_not_in_the_mean() -> None:
    counts = overlaps(confusion(mask([0, 0, 7, 7]), mask([0, 7, 7, 7]), TABLE))
    np.testing.assert_allclose(iou(counts), [1 / 2, 2 / 3, np.nan])
    assert mean_iou(counts) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_a_class_that_is_predicted_where_it_is_not_lowers_the_mean() -> None:
    counts = overlaps(confusion(mask([0, 0, 0, 0]), mask([0, 0, 0, 3]), TABLE))
    assert mean_iou(counts) == pytest.approx((3 / 4 + 0) / 2)


def test_masks_without_a_labelled_pixel_have_no_value() -> None:
    assert np.isnan(mean_iou(overlaps(confusion(mask([IGNORED]), mask([0]), TABLE))))


def test_masks_of_two_sizes_are_an_error_that_tells_both() -> None:
    with pytest.raises(ValueError, match="predicted mask is 1 × 2 pixels and the true one 2 × 1"):
        confusion(mask([0, 0]), mask([0], [0]), TABLE)


def test_a_predicted_number_that_is_no_class_is_an_error() -> None:
    with pytest.raises(ValueError, match="class id 9 is predicted"):
        confusion(mask([0, 0]), mask([0, 9]), TABLE)


masks = arrays.arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 7, 3, IGNORED]))
predictions = arrays.arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 7, 3]))


@given(truth=masks, predicted=predictions)
def test_the_counts_agree_with_counting_each_class_by_itself(truth: np.ndarray, predicted: np.ndarray) -> None:
    counts = overlaps(confusion(truth, predicted, TABLE))
    labelled = truth != IGNORED
    for position, number in enumerate([0, 7, 3]):
        true, said = (truth == number) & labelled, (predicted == number) & labelled
        assert counts[:, position].tolist() == [np.sum(true & said), np.sum(true), np.sum(said)]
        union = np.sum(true | said)
        np.testing.assert_allclose(iou(counts)[position], np.sum(true & said) / union if union else np.nan)


@given(images=arrays.arrays(np.int64, (6, 3, 3), elements=st.integers(0, 50)), confidence=st.floats(0.5, 0.99))
@settings(max_examples=20, deadline=None)
def test_each_interval_holds_its_value_and_is_the_same_in_any_order(images: np.ndarray, confidence: float) -> None:
    # Any counts that could come of masks: what both have is no more than either has.
    images = np.stack([np.minimum(images[:, 0], np.minimum(images[:, 1], images[:, 2])), images[:, 1], images[:, 2]], 1)
    mean, each = intervals(images, confidence)
    assert (mean, each) == intervals(images[::-1], confidence)
    total = images.sum(axis=0)
    if not np.isnan(mean_iou(total)):
        assert float(mean_iou(total)) in mean
    for interval, value in zip(each, iou(total), strict=True):
        assert np.isnan(value) or float(value) in interval


def test_more_images_make_the_interval_narrower_and_more_confidence_wider() -> None:
    def drawn(count: int) -> np.ndarray:
        matrices = np.random.default_rng(1).integers(0, 100, (count, 3, 3))
        return overlaps(matrices + 200 * np.eye(3, dtype=np.int64))

    def width(count: int, confidence: float) -> float:
        interval, _ = intervals(drawn(count), confidence)
        return interval.high - interval.low

    assert width(400, 0.95) < width(40, 0.95) / 2
    assert width(40, 0.5) < width(40, 0.95)


def test_the_interval_covers_the_true_value_about_as_often_as_it_says() -> None:
    dice = np.random.default_rng(7)
    # A population of images whose mean IoU is known, drawn from again and again.
    population = overlaps(dice.integers(0, 60, (5_000, 2, 2)) + 100 * np.eye(2, dtype=np.int64))
    truth = float(mean_iou(population.sum(axis=0)))
    hits = sum(truth in intervals(population[dice.integers(5_000, size=60)], 0.9)[0] for _ in range(100))
    assert 80 <= hits <= 98


def test_one_image_alone_tells_nothing_of_how_sure_it_is() -> None:
    one = overlaps(confusion(mask([0, 7]), mask([0, 7]), TABLE))[None]
    mean, each = intervals(one, 0.95)
    assert (mean.low, mean.high) == (0, 1)
    assert [(interval.low, interval.high) for interval in each] == [(0, 1)] * 3
