"""How the report shows one image: itself, the true mask, the predicted one, and where they differ, side by side."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from ml.evaluation.judging import Picture
from ml.kinds.images.encoded import UnusableImageError, decode_image
from ml.kinds.images.thumbnails import THUMBNAIL_SIDE, small_png
from ml.kinds.semantic_segmentation.comparison import predicted_mask
from ml.kinds.semantic_segmentation.masks import Ids, decode_mask
from ml.kinds.semantic_segmentation.settings import SegmentationSettings

Colours = npt.NDArray[np.uint8]

_IGNORED = (128, 128, 128)
_WRONG = (214, 39, 40)
_FAINT = 0.35


def case_pictures(
    image: bytes | None, mask: bytes | None, predicted: bytes, model: SegmentationSettings, max_pixels: int
) -> list[Picture]:
    """Four small PNGs; ``None`` in place of what vanished. Pixels that the truth ignores are grey in its mask."""
    pixels = None if image is None else _image(image, max_pixels)
    truth = None if mask is None else _mask(mask, max_pixels)
    said = predicted_mask(predicted)
    colours = colour_table(model)
    return [
        Picture(None if pixels is None else small_png(pixels), "image"),
        Picture(None if truth is None else _flat_png(colours[truth]), "truth"),
        Picture(_flat_png(colours[said]), "prediction"),
        Picture(_errors(pixels, truth, said, model.ignore_index), "errors"),
    ]


def colour_table(model: SegmentationSettings) -> Colours:
    """uint8[256, 3]: the colour of each value in a mask; grey for what is no class."""
    table = np.full((256, 3), _IGNORED, np.uint8)
    for each in model.classes:
        table[each.id] = tuple(bytes.fromhex(each.colour.removeprefix("#")))
    return table


def _errors(pixels: Colours | None, truth: Ids | None, said: Ids, ignored: int | None) -> bytes | None:
    """The image, faint and grey, with the pixels that were predicted wrong in red; None where there is nothing to
    compare."""
    if pixels is None or truth is None or not pixels.shape[:2] == truth.shape == said.shape:
        return None
    grey = pixels.mean(axis=-1, keepdims=True)
    faint = np.broadcast_to(255 - _FAINT * (255 - grey), pixels.shape).astype(np.uint8).copy()
    wrong = truth != said
    if ignored is not None:
        wrong &= truth != ignored
    faint[wrong] = _WRONG
    return _flat_png(faint)


def _image(encoded: bytes, max_pixels: int) -> Colours | None:
    try:
        return decode_image(encoded, max_pixels)
    except UnusableImageError:
        return None


def _mask(encoded: bytes, max_pixels: int) -> Ids | None:
    try:
        return decode_mask(encoded, max_pixels)
    except UnusableImageError:
        return None


def _flat_png(colours: Colours) -> bytes:
    """Made smaller without mixing colours, where there are many pixels."""
    image = Image.fromarray(colours)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.NEAREST)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
