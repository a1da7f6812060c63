from __future__ import annotations

import io

import numpy as np
from PIL import Image

from ml.kinds.images.serving import ImageServing
from tests.ml.images.turned import tagged, tiff

SERVING = ImageServing(max_pixels=100)


def png(height: int, width: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def test_a_header_tells_of_another_type_and_of_too_many_pixels_but_not_of_damage() -> None:
    assert SERVING.refusal(b"GIF89a") == "wrong type: neither PNG nor JPEG by its content"
    assert SERVING.refusal(png(20, 10)) == "too many pixels: 10 × 20, allowed are 100"
    assert SERVING.refusal(png(10, 10)[:-30]) is None


def test_decoding_tells_of_damage_too_and_each_image_has_its_own_answer() -> None:
    assert SERVING.refusals([png(10, 10), png(10, 10)[:-30], b"", png(3, 4)]) == [
        None,
        "can't be decoded: truncated PNG file",
        "empty file",
        None,
    ]


def test_an_image_takes_as_much_memory_as_its_pixels_however_small_its_file_is() -> None:
    assert SERVING.memory(png(5, 20)) == 3 * 5 * 20


def test_an_image_that_is_turned_is_in_memory_three_times() -> None:
    assert SERVING.memory(tagged(png(5, 20), tiff(6))) == 3 * SERVING.memory(png(5, 20))
