from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ml.kinds.images.decoding import image_sizes
from ml.kinds.images.encoded import (
    UnusableImageError,
    content_hash,
    decode_image,
    decode_images,
    image_size,
)

LIMIT = 1_000_000
RNG = np.random.default_rng(7)
COLOUR = RNG.integers(0, 256, (9, 14, 3)).astype(np.uint8)


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(pixels: np.ndarray) -> bytes:
    return encode(Image.fromarray(pixels))


def reason(encoded: bytes, limit: int = LIMIT) -> str:
    with pytest.raises(UnusableImageError) as refused:
        decode_image(encoded, limit)
    return str(refused.value)


def test_a_colour_png_decodes_to_its_own_pixels() -> None:
    assert np.array_equal(decode_image(png(COLOUR), LIMIT), COLOUR)


def test_a_grey_image_is_repeated_in_all_three_channels() -> None:
    assert np.array_equal(decode_image(png(COLOUR[..., 0]), LIMIT), np.stack([COLOUR[..., 0]] * 3, axis=-1))


def test_an_alpha_channel_is_dropped() -> None:
    with_alpha = np.dstack([COLOUR, np.full(COLOUR.shape[:2], 40, np.uint8)])
    assert np.array_equal(decode_image(png(with_alpha), LIMIT), COLOUR)


def test_a_palette_is_looked_up() -> None:
    palette = Image.fromarray(COLOUR).quantize(256)
    assert np.array_equal(decode_image(encode(palette), LIMIT), np.asarray(palette.convert("RGB")))


def test_sixteen_bits_become_eight() -> None:
    deep = (COLOUR[..., 0].astype(np.uint16) << 8) + 77
    assert np.array_equal(decode_image(encode(Image.fromarray(deep)), LIMIT)[..., 0], COLOUR[..., 0])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_of_any_colour_space_decodes_to_three_channels(mode: str, progressive: bool) -> None:
    smooth = np.full((24, 40, 3), (200, 120, 40), np.uint8)
    encoded = encode(Image.fromarray(smooth).convert(mode), "JPEG", quality=95, progressive=progressive)
    decoded = decode_image(encoded, LIMIT)
    assert decoded.shape == (24, 40, 3)
    expected = np.asarray(Image.fromarray(smooth).convert(mode).convert("RGB"), int)
    assert np.abs(decoded.astype(int) - expected).max() <= 12


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_size_is_read_from_the_header_alone(kind: str) -> None:
    encoded = encode(Image.fromarray(COLOUR), kind)
    assert image_size(encoded, LIMIT) == (9, 14)
    assert image_size(encoded[: len(encoded) // 2 + 200], LIMIT) == (9, 14)


def test_a_jpeg_with_metadata_before_its_header_is_measured() -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 3000
    assert image_size(encode(Image.fromarray(COLOUR), "JPEG", exif=exif), LIMIT) == (9, 14)


@pytest.mark.parametrize(
    "stray",
    [b"\0", b"Afb6\0\x11", b"\xff" * 9, b"\xff\0\xff\0", b"\0" * 70_000],
    ids=["one", "some", "fill", "stuffed", "many"],
)
def test_stray_bytes_between_the_segments_of_a_jpeg_are_skipped_as_the_decoder_does(stray: bytes) -> None:
    whole = encode(Image.fromarray(COLOUR), "JPEG")
    table = whole.index(b"\xff\xdb")
    strayed = whole[:table] + stray + whole[table:]
    assert image_size(strayed, LIMIT) == (9, 14)
    assert np.array_equal(decode_image(strayed, LIMIT), decode_image(whole, LIMIT))
    assert image_sizes(tf.constant([strayed])).numpy().tolist() == [[9, 14]]


def test_a_png_with_an_unknown_chunk_before_its_header_is_read_as_the_decoder_does() -> None:
    whole = png(COLOUR)
    early = whole[:8] + struct.pack(">I4s3sI", 3, b"xxXx", b"abc", zlib.crc32(b"xxXxabc")) + whole[8:]
    assert image_size(early, LIMIT) == (9, 14)
    assert np.array_equal(decode_image(early, LIMIT), COLOUR)
    assert image_sizes(tf.constant([early])).numpy().tolist() == [[9, 14]]


def test_an_empty_file_is_refused_as_empty() -> None:
    assert reason(b"") == "empty file"


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP", "TIFF"])
def test_another_image_type_is_refused_whatever_its_name(kind: str) -> None:
    assert "wrong type" in reason(encode(Image.fromarray(COLOUR), kind))


def test_text_is_refused_as_of_the_wrong_type() -> None:
    assert "wrong type" in reason(b"<html>404</html>")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_cut_off_is_refused_as_truncated(kind: str, share: float) -> None:
    encoded = encode(Image.fromarray(np.kron(COLOUR, np.ones((8, 8, 1), np.uint8))), kind)
    assert "truncated" in reason(encoded[: int(len(encoded) * share)])


def test_a_file_with_damage_in_the_middle_is_refused_as_damaged() -> None:
    encoded = bytearray(png(COLOUR))
    encoded[len(encoded) // 2] ^= 0xFF
    assert "damaged PNG" in reason(bytes(encoded))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_more_pixels_than_allowed_are_refused_and_as_many_are_not(kind: str) -> None:
    encoded = encode(Image.fromarray(COLOUR), kind)
    assert "too many pixels: 14 × 9, allowed are 125" in reason(encoded, 9 * 14 - 1)
    assert decode_image(encoded, 9 * 14).shape == COLOUR.shape


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    assert "too many pixels" in reason(bomb, 50_000_000)


def test_many_images_of_mixed_sizes_and_kinds_come_back_in_order_with_the_broken_ones_in_place() -> None:
    encoded = [png(RNG.integers(0, 256, (3 + n % 5, 4, 3)).astype(np.uint8)) for n in range(150)]
    encoded[7], encoded[70], encoded[149] = b"", encoded[70][:-30], encode(Image.fromarray(COLOUR), "JPEG")
    together = [image for part in decode_images(encoded, LIMIT) for image in part]
    assert len(together) == 150
    for number, image in enumerate(together):
        if number in (7, 70):
            assert isinstance(image, UnusableImageError)
        else:
            assert not isinstance(image, UnusableImageError)
            assert np.array_equal(image, decode_image(encoded[number], LIMIT))


def test_a_part_holds_few_pixels_however_many_images_there_are() -> None:
    large = png(np.zeros((2000, 2000), np.uint8))
    parts = list(decode_images([large] * 5, 5_000_000))
    assert [len(part) for part in parts] == [2, 2, 1]


def test_the_same_picture_in_two_encodings_has_one_content_hash() -> None:
    fast, small = encode(Image.fromarray(COLOUR), compress_level=0), encode(Image.fromarray(COLOUR), optimize=True)
    assert fast != small
    assert content_hash(decode_image(fast, LIMIT)) == content_hash(decode_image(small, LIMIT))


def test_the_same_bytes_in_another_shape_are_other_content() -> None:
    assert content_hash(COLOUR) != content_hash(COLOUR.reshape(14, 9, 3))


def test_one_changed_pixel_is_other_content() -> None:
    changed = COLOUR.copy()
    changed[0, 0, 0] ^= 1
    assert content_hash(COLOUR) != content_hash(changed)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG"]),
    damage=st.lists(st.tuples(st.integers(8, 2000), st.integers(0, 255)), max_size=3),
    cut=st.integers(0, 400),
)
def test_what_passes_here_decodes_in_the_graph_of_the_model_and_gives_the_same_pixels(
    kind: str, damage: list[tuple[int, int]], cut: int
) -> None:
    encoded = bytearray(encode(Image.fromarray(COLOUR), kind))
    for position, value in damage:
        encoded[max(position % len(encoded), 3)] = value
    whole = bytes(encoded[: len(encoded) - cut])
    try:
        decoded = decode_image(whole, LIMIT)
    except UnusableImageError:
        return
    assert np.array_equal(decoded, tf.io.decode_image(whole, channels=3, expand_animations=False).numpy())
    assert decoded.shape[:2] == image_size(whole, LIMIT) == tuple(image_sizes(tf.constant([whole])).numpy()[0])
