"""The samples that CI/CD runs this pipeline on, end to end: real handwritten digits.

Source: "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998), UCI Machine Learning Repository,
https://doi.org/10.24432/C50P49, CC BY 4.0. It comes with scikit-learn, so nothing is downloaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

#: How many of the 1,797 digits: enough to learn from in seconds.
SAMPLES = 480


def write_samples(folder: Path) -> None:
    """Writes the samples to ``folder`` as they would lie in the inbox: ``<label>/<name>.png``, 8 × 8 pixels, grey."""
    digits: Any = load_digits()
    for number in range(SAMPLES):
        file = folder / str(digits.target[number]) / f"digit-{number:04}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray((digits.images[number] * (255 / 16)).round().astype(np.uint8)).save(file)
