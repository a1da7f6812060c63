"""The PNG files that the benchmarks of spans and prediction read: 32×32, in colour, ten labels, no two alike."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.datasets import load_digits

SIDE = 32


def digits(count: int) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """uint8 [count, 32, 32, 3] and the labels: scikit-learn's digits, enlarged, with noise that makes each one new."""
    data = load_digits()
    noise = np.random.default_rng(20)
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    labels = []
    for number in range(count):
        chosen = number % len(data.images)
        enlarged = np.kron(data.images[chosen] * 15, np.ones((4, 4)))[..., None]
        images[number] = np.clip(enlarged + noise.integers(0, 12, (SIDE, SIDE, 3)), 0, 255)
        labels.append(str(data.target[chosen]))
    return images, labels


def write_inbox(folder: Path, images: npt.NDArray[np.uint8], labels: list[str]) -> list[Path]:
    """Writes each image as ``<label>/<number>.png`` and returns the files."""
    files = []
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        file = folder / label / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        encoded = io.BytesIO()
        Image.fromarray(image).save(encoded, "PNG")
        file.write_bytes(encoded.getvalue())
        files.append(file)
    return files
