"""The scenes and the cameras that show them."""

from __future__ import annotations

import numpy as np

from ml.pipelines.semantic_segmentation.scenes import (
    BACKGROUND,
    DIGITS,
    LAST_DIGIT,
    OPEN,
    SIDES,
    draw_scenes,
    material,
    new_camera,
    old_camera,
)


def test_the_same_seed_draws_the_same_scenes_and_another_one_others() -> None:
    drawn = [[scene.mask.tobytes() for scene in draw_scenes(material(), 5, seed)] for seed in ([1], [1], [2])]
    assert drawn[0] == drawn[1]
    assert set(drawn[0]).isdisjoint(drawn[2])


def test_a_mask_says_where_there_is_ink_and_leaves_its_rim_open() -> None:
    for scene in draw_scenes(material(), 20, [3]):
        assert all(SIDES[0] <= side <= SIDES[1] for side in scene.mask.shape)
        assert scene.ground.shape == (*scene.mask.shape, 3)
        assert set(np.unique(scene.mask).tolist()) <= {BACKGROUND, OPEN, *range(1, LAST_DIGIT + 2)}
        digit = (scene.mask != BACKGROUND) & (scene.mask != OPEN)
        assert scene.ink[digit].min() > scene.ink[scene.mask == OPEN].max() > scene.ink[scene.mask == BACKGROUND].max()


def test_every_digit_comes_before_any_comes_twice() -> None:
    source = material(np.arange(40))
    wanted = {int(value) + 1 for value in source.values}
    shown = {int(value) for scene in draw_scenes(source, 40, [5]) for value in np.unique(scene.mask)}
    assert wanted <= shown


def test_material_is_cut_where_it_is_asked_to_be() -> None:
    part = material(np.array([0, DIGITS - 1]), (100, 220))
    assert (part.digits.shape, part.values.max() <= LAST_DIGIT) == ((2, 8, 8), True)
    assert [photograph.shape for photograph in part.photographs] == [(427, 120, 3)] * 2


def test_ink_is_brighter_than_its_ground_for_the_old_camera_and_darker_for_the_new_one() -> None:
    for number, scene in enumerate(draw_scenes(material(), 10, [7])):
        digit = (scene.mask != BACKGROUND) & (scene.mask != OPEN)
        for camera, brighter in ((old_camera, True), (new_camera, False)):
            shown = np.asarray(camera(scene, np.random.default_rng(number)), np.float64).mean(axis=-1)
            assert shown.shape == scene.mask.shape
            assert bool(shown[digit].mean() > shown[scene.mask == BACKGROUND].mean()) is brighter
