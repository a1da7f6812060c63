"""The demo's pictures: real handwritten digits, as two cameras would show them. Runs in TFX's environment.

Source: the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998), UCI Machine
Learning Repository, https://doi.org/10.24432/C50P49, CC BY 4.0; 1,797 images of 8x8 pixels by 13 writers. It comes with
scikit-learn as ``load_digits``, so nothing is downloaded.

The *old camera* is a scanner: bright ink on black, grey, upright. The *new camera* photographs paper: dark ink on
bright, slightly tinted paper, held at an angle, lit from one side, with the sensor's noise. Images of both are PNG
files, upscaled to sides of 24 to 40 pixels.

Each digit is in exactly one set, so no digit of one set was seen by a training on another; the two folders of
``holdout`` show the same digits through both cameras.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.float64]
Camera = Callable[[Pixels, np.random.Generator], Image.Image]

#: How many digits each set has, of 1,797.
FIRST, SHIFTED, FRESH, HOLDOUT = 800, 440, 230, 327
SIDES = (24, 40)


def old_camera(digit: Pixels, dice: np.random.Generator) -> Image.Image:
    """``digit`` (8x8, ink from 0 to 1) as the scanner shows it."""
    return _picture(_upscaled(digit, dice, angle=0.0))


def new_camera(digit: Pixels, dice: np.random.Generator) -> Image.Image:
    """``digit`` (8x8, ink from 0 to 1) as a photograph on paper, in colour."""
    ink = _upscaled(digit, dice, angle=float(dice.uniform(-15, 15)))
    side = len(ink)
    across, down = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    direction = dice.uniform(0, 2 * np.pi)
    light = 0.85 + 0.15 * (np.cos(direction) * across + np.sin(direction) * down)
    grey = light * (1 - 0.8 * ink)
    tint = np.array([1.0, 0.97, 0.9])
    return _picture(grey[..., None] * tint + dice.normal(0, 0.05, (side, side, 3)))


def _upscaled(digit: Pixels, dice: np.random.Generator, angle: float) -> Pixels:
    side = int(dice.integers(SIDES[0], SIDES[1] + 1))
    image = Image.fromarray((digit * 255).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(image.rotate(angle, Image.Resampling.BICUBIC), np.float64) / 255


def _picture(shares: Pixels) -> Image.Image:
    return Image.fromarray((np.clip(shares, 0, 1) * 255).round().astype(np.uint8))


def write_sets(folder: Path, *, seed: int) -> dict[str, int]:
    """Writes ``<set>/<label>/<id>.png`` below ``folder`` for each set; the number of images in each.

    Sets: ``first`` (old camera), ``shifted`` and ``fresh`` (new camera), ``holdout/plain`` and ``holdout/shifted`` (the
    same digits through both). The same ``seed`` gives the same pictures.
    """
    from sklearn.datasets import load_digits

    loaded: Any = load_digits()
    digits, labels = loaded.images / 16.0, loaded.target
    order = np.random.default_rng(seed).permutation(len(digits))
    first, shifted, fresh, holdout, rest = np.split(order, np.cumsum([FIRST, SHIFTED, FRESH, HOLDOUT]))
    if len(rest):
        raise ValueError(f"{len(rest)} digits are in no set")
    sets: list[tuple[str, npt.NDArray[np.int64], Camera]] = [
        ("first", first, old_camera),
        ("shifted", shifted, new_camera),
        ("fresh", fresh, new_camera),
        ("holdout/plain", holdout, old_camera),
        ("holdout/shifted", holdout, new_camera),
    ]
    for name, members, camera in sets:
        for index in members:
            file = folder / name / str(labels[index]) / f"digit-{index:04}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            camera(digits[index], np.random.default_rng([seed, int(index)])).save(file)
    return {name: len(members) for name, members, _ in sets}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the demo's pictures.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=20)
    arguments = parser.parse_args()
    write_sets(arguments.folder, seed=arguments.seed)


if __name__ == "__main__":
    main()
