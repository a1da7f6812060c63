"""The samples of the local run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from ml.kinds.semantic_segmentation.masks import check_mask, decode_mask
from ml.pipelines.semantic_segmentation.sample_data import SAMPLES, write_samples
from ml.pipelines.semantic_segmentation.settings import ModelSettings


def test_each_image_has_a_mask_of_its_size_with_the_settings_classes(tmp_path: Path) -> None:
    settings = ModelSettings(**yaml.safe_load((Path(__file__).parent / "settings.yaml").read_text("utf-8"))["model"])
    write_samples(tmp_path)
    images, masks = (sorted((tmp_path / part).iterdir()) for part in ("images", "masks"))
    assert [file.name for file in images] == [file.name for file in masks]
    assert len(images) == SAMPLES
    found: set[int] = set()
    for image, mask in zip(images, masks, strict=True):
        pixels, ids = np.asarray(Image.open(image)), decode_mask(mask.read_bytes(), pixels_at_most := 96 * 96)
        assert pixels.shape == (*ids.shape, 3)
        assert ids.size <= pixels_at_most
        check_mask(ids, pixels.shape[:2], settings.ids, settings.ignore_index)
        found.update(np.unique(ids).tolist())
    assert found == {*settings.ids, settings.ignore_index}
