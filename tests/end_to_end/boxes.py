"""A second pipeline beside the stripes: a segmenter of its own, that finds bright boxes in pictures of noise."""

from __future__ import annotations

import random
from pathlib import Path

from tests.end_to_end.grey_png import grey_png

BOXES = "boxes"
EVALUATION, RETRAINING, TRAINING = (f"{BOXES}.{stage}" for stage in ("evaluation", "retraining", "training"))

SIDE = 16

SETTINGS = """
description: Finds bright boxes.
kind: semantic_segmentation
evaluation: {min_samples: 60, min_evaluated: 40, poll_seconds: 0.5, threshold: 0.6}
training: {epochs: 6, batch_size: 8, blessing_threshold: 0.3}
model:
  classes:
    - {id: 0, name: ground, colour: "#000000"}
    - {id: 1, name: box, colour: "#ffffff"}
  image_size: 32
"""


def collect_boxes(home: Path, count: int, *, seed: int) -> None:
    """Puts new images with their masks into the inbox below the deployment's ``home``, each mask first."""
    inbox = home / "storage" / BOXES / "inbox"
    for number in range(count):
        image, mask = _scene(random.Random(seed * 1_000 + number))
        for folder, rows in (("masks", mask), ("images", image)):
            _write(inbox / folder / f"{seed}-{number}.png", grey_png(rows))


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _scene(dice: random.Random) -> tuple[list[list[int]], list[list[int]]]:
    left, top, side = dice.randrange(8), dice.randrange(8), dice.randrange(4, 9)
    mask = [[int(left <= x < left + side and top <= y < top + side) for x in range(SIDE)] for y in range(SIDE)]
    return [[dice.randrange(180, 250) if inside else dice.randrange(10, 80) for inside in row] for row in mask], mask
