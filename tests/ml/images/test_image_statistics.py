from __future__ import annotations

import numpy as np
import pytest

from ml.kinds.images.encoded import image_statistics
from ml.kinds.images.statistics import STATISTICS, statistics_rows


def test_a_black_and_a_white_image_are_the_ends_of_brightness() -> None:
    black, white = np.zeros((5, 7, 3), np.uint8), np.full((5, 7, 3), 255, np.uint8)
    assert (image_statistics(black).brightness, image_statistics(white).brightness) == (0.0, 1.0)
    assert (image_statistics(white).width, image_statistics(white).height) == (7.0, 5.0)


def test_contrast_is_the_standard_deviation_of_the_values() -> None:
    image = np.random.default_rng(1).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    assert image_statistics(image).contrast == pytest.approx((image / 255).std(), abs=1e-6)
    assert image_statistics(image).brightness == pytest.approx((image / 255).mean(), abs=1e-6)


def test_saturation_is_none_in_grey_and_whole_in_pure_colour() -> None:
    grey, red = np.full((4, 4, 3), 90, np.uint8), np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert (image_statistics(grey).saturation, image_statistics(red).saturation) == (0.0, 1.0)


def test_sharpness_is_whole_in_vertical_stripes_and_none_in_horizontal_ones() -> None:
    stripes = np.zeros((6, 6, 3), np.uint8)
    stripes[:, ::2] = 255
    assert image_statistics(stripes).sharpness == 1.0
    assert image_statistics(stripes.transpose(1, 0, 2)).sharpness == 0.0


def test_an_image_of_one_pixel_has_statistics() -> None:
    one = image_statistics(np.full((1, 1, 3), 51, np.uint8))
    assert one.brightness == pytest.approx(0.2)
    assert (one.contrast, one.sharpness) == (0.0, 0.0)


def test_an_image_has_the_same_statistics_alone_among_others_and_when_looked_at_in_strips() -> None:
    rng = np.random.default_rng(2)
    images = [rng.integers(0, 256, (h, w, 3)).astype(np.uint8) for h, w in [(8, 8), (9, 5), (8, 8), (900, 700)]]
    together = statistics_rows(images)
    assert together.shape == (4, len(STATISTICS))
    for image, row in zip(images, together, strict=True):
        assert np.array_equal(statistics_rows([image])[0], row)
    assert together[3, STATISTICS.index("contrast")] == pytest.approx((images[3] / 255).std(), abs=1e-6)


@pytest.mark.parametrize(("height", "width"), [(1, 21_845), (1, 21_846), (150, 148), (700, 30), (3, 30_000)])
def test_no_sum_is_too_large_for_its_type(height: int, width: int) -> None:
    white = np.full((2, height, width, 3), 255, np.uint8)
    for row in statistics_rows(list(white)):
        assert row.tolist() == [width, height, 1, 0, 0, 0]
