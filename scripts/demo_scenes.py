"""The demo's scenes for the segmenter: handwritten digits on photographs, as two cameras would show them. Runs in TFX's
environment. What they are made of, with its sources and licences: ``ml/pipelines/semantic_segmentation/scenes.py``.

Each digit is in exactly one set, and so is each column of the photographs, so nothing that one set shows was seen by a
training on another; the two folders of ``holdout`` show the same scenes through both cameras.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ml.pipelines.semantic_segmentation.scenes import (
    DIGITS,
    PHOTOGRAPH_COLUMNS,
    Camera,
    draw_scenes,
    material,
    new_camera,
    old_camera,
    save_scene,
)

#: Set → its scenes, of which digits (of 901) and of how many of the photographs' columns (of 640) they are made, and
#: which cameras show them, each in which folder.
SETS: dict[str, tuple[int, int, int, Mapping[str, Camera]]] = {
    "first": (500, 400, 256, {"first": old_camera}),
    "shifted": (300, 230, 176, {"shifted": new_camera}),
    "fresh": (120, 110, 104, {"fresh": new_camera}),
    "holdout": (120, 161, 104, {"holdout/plain": old_camera, "holdout/shifted": new_camera}),
}


def write_sets(folder: Path, *, seed: int) -> dict[str, int]:
    """Writes ``<set>/images/<id>.png`` and ``<set>/masks/<id>.png`` below ``folder`` for each set; the number of scenes
    in each.

    Sets: ``first`` (old camera), ``shifted`` and ``fresh`` (new camera), ``holdout/plain`` and ``holdout/shifted`` (the
    same scenes through both). The same ``seed`` gives the same scenes.
    """
    digits = np.split(
        np.random.default_rng(seed).permutation(DIGITS), np.cumsum([count for _, count, _, _ in SETS.values()])
    )
    written, left = {}, 0
    for number, (scenes, _, columns, cameras) in enumerate(SETS.values()):
        source = material(digits[number], (left, left + columns))
        for index, scene in enumerate(draw_scenes(source, scenes, [seed, number])):
            for name, camera in cameras.items():
                save_scene(folder / name, f"scene-{number}-{index:04}", scene, camera, [seed, number, index])
        written.update(dict.fromkeys(cameras, scenes))
        left += columns
    if left != PHOTOGRAPH_COLUMNS or len(digits[-1]):
        raise ValueError(f"{PHOTOGRAPH_COLUMNS - left} columns and {len(digits[-1])} digits are in no set")
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the demo's scenes.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=20)
    arguments = parser.parse_args()
    write_sets(arguments.folder, seed=arguments.seed)


if __name__ == "__main__":
    main()
