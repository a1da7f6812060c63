"""Images with masks, as counts of pixels: some easier than others, and a class that few of them show."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Overlaps = npt.NDArray[np.int64]

_PIXELS = np.array([700, 300, 0])
_RARE = np.array([-50, -50, 100])


def draw(images: int, rare: float, quality: float, dice: np.random.Generator) -> Overlaps:
    """int64[images, 3, 3], see ``ml.kinds.semantic_segmentation.overlap``: three classes, of which a share ``rare`` of
    the images shows the third; ``quality`` is the mean share of a class's pixels that is predicted right."""
    of_image = dice.beta(10 * quality, 10 * (1 - quality), images)
    return overlaps(dice.random(images) < rare, of_image, dice)


def overlaps(rare: npt.NDArray[np.bool_], quality: npt.NDArray[np.float64], dice: np.random.Generator) -> Overlaps:
    """The same of images that show the third class where ``rare`` is true, each of its own ``quality``."""
    true = _PIXELS + rare[:, None] * _RARE
    both = dice.binomial(true, quality[:, None])
    wrong = dice.binomial(true, (1 - quality[:, None]) * 0.9)
    return np.stack([both, true, both + wrong], axis=1).astype(np.int64)
