"""The samples of the local run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ml.kinds.image_classification.kind import KIND
from ml.kinds.kind import Part
from ml.pipelines.image_classification.sample_data import SAMPLES, write_samples


def test_there_are_samples_of_every_digit_laid_out_like_the_inbox(tmp_path: Path) -> None:
    write_samples(tmp_path)
    files = sorted(tmp_path.rglob("*.png"))
    read = [KIND.part_of(file.relative_to(tmp_path).as_posix()) for file in files]
    labels = [sample.label for sample in read if isinstance(sample, Part)]
    assert len(files) == len(labels) == SAMPLES
    assert set(labels) == set("0123456789")
    assert min(map(labels.count, "0123456789")) >= 40


def test_a_sample_is_a_picture_with_ink_on_black(tmp_path: Path) -> None:
    write_samples(tmp_path)
    for file in (tmp_path / "0").iterdir():
        pixels = np.asarray(Image.open(file))
        assert (pixels.shape, str(pixels.dtype)) == ((8, 8), "uint8")
        assert pixels.min() == 0
        assert pixels.max() >= 200
