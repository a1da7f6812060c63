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
    of_image = dice.beta(10 * quality, 10 * (1 - quality), images)[:, None]
    true = _PIXELS + np.where(dice.random(images) < rare, 1, 0)[:, None] * _RARE
    both = dice.binomial(true, of_image)
    wrong = dice.binomial(true, (1 - of_image) * 0.9)
    return np.stack([both, true, both + wrong], axis=1).astype(np.int64)
