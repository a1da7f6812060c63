"""Scenes to segment, drawn on this machine: real handwritten digits lying on patches of real photographs.

Sources, both of which come with scikit-learn, so nothing is downloaded:

* "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998), UCI Machine Learning Repository,
  https://doi.org/10.24432/C50P49, CC BY 4.0; 1,797 images of 8x8 pixels (``load_digits``);
* two photographs, CC BY 2.0 (``load_sample_images``): ``china.jpg``, by danielbuechele,
  https://www.flickr.com/photos/danielbuechele/6061409035, and ``flower.jpg``, by vultilion,
  https://www.flickr.com/photos/vultilion/6056698931.

Both are changed here: digits are enlarged, turned and coloured, photographs cut, mirrored, darkened or brightened. What
a scene shows is drawn by lot; its mask follows from it and is exact, up to the rim of the ink, which fades and which
the mask leaves open (:data:`OPEN`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Pixels = npt.NDArray[np.float64]

#: Ids in a mask: no digit; the digit 0 has the id 1, and so on; neither, for pixels that nobody could decide on.
BACKGROUND, OPEN = 0, 255

#: Only digits up to this one are drawn: five are enough to be told apart, and learnt in a minute.
LAST_DIGIT = 4
#: How many of them there are, and how many columns both photographs have.
DIGITS, PHOTOGRAPH_COLUMNS = 901, 640

SIDES = (64, 96)
DIGIT_SIDES = (26, 42)
FEWEST_DIGITS, MOST_DIGITS = 2, 4
#: Degrees, to either side; more, and a 6 could be a 9.
MOST_TURN = 20.0
#: Ink from 0 to 1 below which a pixel is background, and from which on it is the digit's.
RIM = (0.3, 0.5)
#: How often a place is looked for before a digit is left out.
_TRIES = 20


@dataclass(frozen=True)
class Material:
    """What scenes are made of: digits 8x8 with ink from 0 to 1, what each of them says, and pieces of photographs
    [H, W, 3] from 0 to 1."""

    digits: Pixels
    values: npt.NDArray[np.int64]
    photographs: Sequence[Pixels]


@dataclass(frozen=True)
class Scene:
    """``ground`` [H, W, 3] and ``ink`` [H, W] are from 0 to 1; ``mask`` uint8 [H, W] of ids."""

    ground: Pixels
    ink: Pixels
    mask: npt.NDArray[np.uint8]


Camera = Callable[[Scene, np.random.Generator], Image.Image]


def material(
    digits: npt.NDArray[np.int64] | slice = slice(None), columns: tuple[int, int] = (0, PHOTOGRAPH_COLUMNS)
) -> Material:
    """The digits of these indices, and what both photographs (427 rows) show in these columns."""
    loaded = _digits()
    drawn = loaded.target <= LAST_DIGIT
    return Material(
        loaded.images[drawn][digits] / 16.0,
        loaded.target[drawn][digits],
        [photograph[:, columns[0] : columns[1]] / 255.0 for photograph in _photographs()],
    )


def draw_scenes(source: Material, count: int, seed: Sequence[int]) -> Iterator[Scene]:
    """``count`` scenes; each digit comes once before any comes twice. The same ``seed`` gives the same scenes."""
    dice = np.random.default_rng(seed)
    heap: list[int] = []
    for _ in range(count):
        wanted = int(dice.integers(FEWEST_DIGITS, MOST_DIGITS + 1))
        if len(heap) < wanted:
            heap = [*map(int, dice.permutation(len(source.digits))), *heap]
        drawn, heap = heap[-wanted:], heap[:-wanted]
        yield _scene(source, drawn, dice)


def old_camera(scene: Scene, dice: np.random.Generator) -> Image.Image:
    """Bright ink, in any light colour, on a dimmed ground."""
    ground = scene.ground * dice.uniform(0.25, 0.5)
    return _picture(_inked(ground, scene.ink, dice.uniform(0.75, 1.0, 3)))


def new_camera(scene: Scene, dice: np.random.Generator) -> Image.Image:
    """Dark ink on an overexposed, tinted ground, lit from one side, a little out of focus, with the sensor's noise."""
    height, width = scene.ink.shape
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    direction = dice.uniform(0, 2 * np.pi)
    light = 0.88 + 0.12 * (np.cos(direction) * across + np.sin(direction) * down)
    ground = (0.5 + 0.5 * scene.ground) * np.array([1.0, 0.96, 0.86])
    lit = _inked(ground, scene.ink, dice.uniform(0.0, 0.25, 3)) * light[..., None]
    focused = _picture(lit).filter(ImageFilter.GaussianBlur(float(dice.uniform(0.3, 0.8))))
    return _picture(np.asarray(focused, np.float64) / 255 + dice.normal(0, 0.03, lit.shape))


def save_scene(folder: Path, name: str, scene: Scene, camera: Camera, seed: Sequence[int]) -> None:
    """Writes ``images/<name>.png``, as ``camera`` shows it, and ``masks/<name>.png`` below ``folder``."""
    for part, picture in (
        ("images", camera(scene, np.random.default_rng(seed))),
        ("masks", Image.fromarray(scene.mask)),
    ):
        (folder / part).mkdir(parents=True, exist_ok=True)
        picture.save(folder / part / f"{name}.png")


def _scene(source: Material, drawn: Sequence[int], dice: np.random.Generator) -> Scene:
    height, width = map(int, dice.integers(SIDES[0], SIDES[1] + 1, 2))
    ink, mask = np.zeros((height, width)), np.full((height, width), BACKGROUND, np.uint8)
    taken = np.zeros((height, width), bool)
    for index in drawn:
        stamp = _stamp(source.digits[index], dice)
        for _ in range(_TRIES):
            place = _somewhere(stamp.shape, (height, width), dice)
            if not taken[place][stamp > 0].any():
                ink[place] = np.maximum(ink[place], stamp)
                mask[place][stamp >= RIM[0]] = OPEN
                mask[place][stamp >= RIM[1]] = 1 + source.values[index]
                taken[place] |= stamp > 0
                break
    return Scene(_patch(source.photographs, height, width, dice), ink, mask)


def _stamp(digit: Pixels, dice: np.random.Generator) -> Pixels:
    side = int(dice.integers(DIGIT_SIDES[0], DIGIT_SIDES[1] + 1))
    large = Image.fromarray((digit * 255).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    turned = large.rotate(float(dice.uniform(-MOST_TURN, MOST_TURN)), Image.Resampling.BICUBIC, expand=True)
    return np.asarray(turned, np.float64) / 255


def _patch(photographs: Sequence[Pixels], height: int, width: int, dice: np.random.Generator) -> Pixels:
    photograph = photographs[int(dice.integers(len(photographs)))]
    patch = photograph[_somewhere((height, width), photograph.shape, dice)]
    return patch[:, ::-1] if dice.random() < 0.5 else patch


def _somewhere(size: Sequence[int], within: Sequence[int], dice: np.random.Generator) -> tuple[slice, slice]:
    top, left = (int(dice.integers(0, within[axis] - size[axis] + 1)) for axis in (0, 1))
    return slice(top, top + size[0]), slice(left, left + size[1])


def _inked(ground: Pixels, ink: Pixels, colour: Pixels) -> Pixels:
    cover = np.clip((ink - 0.2) / 0.4, 0, 1)[..., None]
    return ground * (1 - cover) + colour * cover


def _picture(shares: Pixels) -> Image.Image:
    return Image.fromarray((np.clip(shares, 0, 1) * 255).round().astype(np.uint8))


@lru_cache(maxsize=1)
def _digits() -> Any:
    from sklearn.datasets import load_digits

    return load_digits()


@lru_cache(maxsize=1)
def _photographs() -> list[npt.NDArray[np.uint8]]:
    from sklearn.datasets import load_sample_images

    return list(load_sample_images().images)
