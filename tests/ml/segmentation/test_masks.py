"""Masks: which encodings are understood, and why others are refused."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ml.kinds.images.encoded import UnusableImageError
from ml.kinds.semantic_segmentation.masks import check_mask, count_ids, decode_mask, encode_mask

IDS = np.array([[0, 1, 2], [7, 255, 1]], np.uint8)
MOST = 1000


def encode(image: Image.Image, kind: str = "PNG", **choices: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **choices)
    return stream.getvalue()


def palette(ids: np.ndarray) -> Image.Image:
    image = Image.fromarray(ids).convert("P")
    image.putdata(ids.reshape(-1).tolist())
    image.putpalette([255 - value // 3 for value in range(768)])
    return image


@pytest.mark.parametrize(
    "encoded",
    [
        encode(Image.fromarray(IDS)),
        encode(palette(IDS)),
        encode(palette(IDS), transparency=1),
        encode(Image.fromarray(IDS.astype(np.uint16))),
    ],
    ids=["8-bit grey", "palette", "palette with a transparent colour", "16-bit grey"],
)
def test_class_ids_are_read_from_every_form_of_one_channel(encoded: bytes) -> None:
    decoded = decode_mask(encoded, MOST)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, IDS)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_small_palette_counts_by_its_indices(bits: int) -> None:
    ids = (np.arange(15) % 2**bits).astype(np.uint8).reshape(3, 5)
    encoded = encode(palette(ids), bits=bits)
    assert encoded[24] == bits
    np.testing.assert_array_equal(decode_mask(encoded, MOST), ids)


def test_a_mask_with_an_unknown_chunk_before_its_header_is_read() -> None:
    whole = encode(palette(IDS))
    early = whole[:8] + struct.pack(">I4s3sI", 3, b"xxXx", b"abc", zlib.crc32(b"xxXxabc")) + whole[8:]
    np.testing.assert_array_equal(decode_mask(early, MOST), IDS)


def test_a_canonical_mask_is_8_bit_grey_and_holds_the_same_ids() -> None:
    encoded = encode_mask(IDS)
    assert Image.open(io.BytesIO(encoded)).mode == "L"
    np.testing.assert_array_equal(decode_mask(encoded, MOST), IDS)
    assert encode_mask(decode_mask(encode(palette(IDS)), MOST)) == encoded


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (b"", "empty file"),
        (b"GIF89a", "neither PNG nor JPEG"),
        (encode(Image.fromarray(IDS), "JPEG"), "a mask has to be a PNG: JPEG changes the pixels' values"),
        (encode(Image.fromarray(IDS).convert("RGB")), "a mask of RGB colours: it has to have one channel"),
        (encode(Image.fromarray(IDS).convert("RGBA")), "a mask of RGB colours with transparency"),
        (encode(Image.fromarray(IDS).convert("LA")), "a mask of grey with transparency"),
        (encode(Image.fromarray(IDS > 0)), "a grey mask of 1 bits"),
        (encode(Image.fromarray(IDS.astype(np.uint16) * 2)), "the mask has the value 510: class ids are 0 to 255"),
        (encode(Image.fromarray(IDS))[:-30], "can't be decoded"),
        (encode(Image.fromarray(np.zeros((40, 30), np.uint8))), "too many pixels: 30 × 40, allowed are 1000"),
    ],
)
def test_what_is_no_mask_is_refused_with_the_reason(encoded: bytes, reason: str) -> None:
    with pytest.raises(UnusableImageError, match=reason) as raised:
        decode_mask(encoded, MOST)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("position", range(33, 90, 4))
def test_a_damaged_mask_is_refused_or_read_and_nothing_else(position: int) -> None:
    ids = np.random.default_rng(0).integers(0, 9, (9, 9), dtype=np.uint8)
    encoded = bytearray(encode_mask(ids))
    encoded[position] ^= 0xFF
    try:
        assert decode_mask(bytes(encoded), MOST).shape == (9, 9)
    except UnusableImageError as refusal:
        assert "decoded" in str(refusal)  # noqa: PT017 (either is right)


def test_a_mask_fits_its_image_and_the_classes() -> None:
    check_mask(IDS, (2, 3), [0, 1, 2, 7], 255)
    with pytest.raises(UnusableImageError, match="the mask is 3 × 2, and its image 2 × 3"):
        check_mask(IDS, (3, 2), [0, 1, 2, 7], 255)
    with pytest.raises(UnusableImageError, match=r"no class's id: 7$"):
        check_mask(IDS, (2, 3), [0, 1, 2], 255)
    with pytest.raises(UnusableImageError, match=r"no class's id: 255$"):
        check_mask(IDS, (2, 3), [0, 1, 2, 7], None)


def test_pixels_are_counted_by_their_value() -> None:
    counted = count_ids(IDS)
    assert {value: count for value, count in enumerate(counted.tolist()) if count} == {0: 1, 1: 2, 2: 1, 7: 1, 255: 1}
