"""The orientation in EXIF is applied wherever an image is decoded, and in the graph as in Python."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ml.kinds.images.decoding import decode_images, image_sizes
from ml.kinds.images.encoded import content_hash, decode_image, decode_part
from ml.kinds.images.orientation import MOST_PARTS, orientation_of, turn_upright
from ml.kinds.images.upright import orientation_of as orientation_in_graph
from ml.kinds.semantic_segmentation.masks import decode_mask
from tests.ml.images.turned import chunk, encode, photograph, segment, stored, tagged, tiff

UPRIGHT = np.random.default_rng(7).integers(0, 256, (9, 14, 3)).astype(np.uint8)
MOST = 10_000
EXIF = b"Exif\0\0"
JPEG, PNG = encode(UPRIGHT, "JPEG"), encode(UPRIGHT)

ORIENTATIONS = pytest.mark.parametrize("orientation", range(1, 9))
KINDS = pytest.mark.parametrize("kind", ["PNG", "JPEG"])
ORDERS = pytest.mark.parametrize("order", ["<", ">"])

in_graph = tf.function(orientation_in_graph, input_signature=[tf.TensorSpec([], tf.string)])


def both(encoded: bytes) -> tuple[int, int]:
    return orientation_of(encoded), int(in_graph(tf.constant(encoded)))


@ORIENTATIONS
def test_pixels_are_turned_as_every_viewer_turns_them(orientation: int) -> None:
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(photograph(UPRIGHT, orientation))))
    assert np.array_equal(np.asarray(shown), UPRIGHT)
    assert np.array_equal(turn_upright(stored(UPRIGHT, orientation), orientation), UPRIGHT)


@ORDERS
@KINDS
@ORIENTATIONS
def test_a_file_with_an_orientation_is_the_upright_picture_in_python_and_in_the_graph(
    orientation: int, kind: str, order: str
) -> None:
    file = photograph(UPRIGHT, orientation, kind, order)
    plain = decode_image(encode(stored(UPRIGHT, orientation), kind), MOST)  # a JPEG changes the pixels a little
    upright = turn_upright(plain, orientation)
    assert both(file) == (orientation, orientation)
    assert np.array_equal(decode_image(file, MOST), upright)
    assert image_sizes(tf.constant([file, PNG])).numpy().tolist() == [[9, 14], [9, 14]]
    for size in (8, 32):  # smaller, and larger
        turned, untagged = decode_images(tf.constant([file, encode(upright)]), size).numpy()
        assert np.array_equal(turned, untagged)


def test_many_files_are_turned_each_by_its_own_orientation() -> None:
    files = [photograph(UPRIGHT, orientation) for orientation in range(1, 9)]
    assert {content_hash(pixels) for pixels in decode_part(files) if isinstance(pixels, np.ndarray)} == {
        content_hash(UPRIGHT)
    }
    decoded = decode_images(tf.constant(files), 16).numpy()
    assert all(np.array_equal(image, decoded[0]) for image in decoded)


@ORIENTATIONS
def test_a_mask_with_an_orientation_is_turned_too(orientation: int) -> None:
    ids = UPRIGHT[..., 0] % 5
    assert np.array_equal(decode_mask(photograph(ids, orientation), MOST), ids)


@pytest.mark.parametrize(
    "file",
    [
        tagged(JPEG, tiff(6, before=10)),
        JPEG[:2] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>") + tagged(JPEG, tiff(6))[2:],
        JPEG[:2] + segment(0xE1, EXIF + tiff(6)) + tagged(JPEG, tiff(3))[2:],
        JPEG[:2] + segment(0xE2, bytes(60_000)) + bytes(9000) + b"\xff" * 9000 + tagged(JPEG, tiff(6))[2:],
        JPEG[:2] + b"\xff\xd0\xff\x01" + tagged(JPEG, tiff(6))[2:],
        PNG[:-12] + chunk(b"eXIf", tiff(6)) + PNG[-12:],
        tagged(PNG, EXIF + tiff(6)),
        PNG[:8] + chunk(b"xxXx", b"unknown") + tagged(PNG, tiff(6))[8:],
    ],
    ids=["not the first field", "behind XMP", "the first of two", "behind stray bytes", "behind bare markers",
         "behind the pixels", "with the prefix of JPEG", "behind an unknown chunk"],
)  # fmt: skip
def test_the_orientation_is_found_wherever_it_is(file: bytes) -> None:
    assert both(file) == (6, 6)


FIELD = tiff(6)[:10]
MALFORMED = {
    "no order of bytes": b"XX" + tiff(6)[2:],
    "cut off in the head": tiff(6)[:6],
    "cut off in the field": tiff(6)[:-6],
    "a directory beyond the end": b"II*\0" + struct.pack("<I", 5000) + tiff(6)[8:],
    "a directory at 4 GB": b"II*\0\xff\xff\xff\xff" + tiff(6)[8:],
    "orientation 0": tiff(0),
    "orientation 9": tiff(9),
    "orientation 65535": tiff(65535),
    "of the type LONG": FIELD + struct.pack("<HHII", 0x0112, 4, 1, 6),
    "two of them": FIELD + struct.pack("<HHII", 0x0112, 3, 2, 6),
    "65,537 of them": FIELD + struct.pack("<HHII", 0x0112, 3, 65537, 6),
    "no field": b"II*\0" + struct.pack("<IH", 8, 0),
    "empty": b"",
}


@pytest.mark.parametrize("whole", [JPEG, PNG], ids=["JPEG", "PNG"])
@pytest.mark.parametrize("exif", MALFORMED.values(), ids=MALFORMED)
def test_what_can_not_be_read_counts_as_upright(exif: bytes, whole: bytes) -> None:
    assert both(tagged(whole, exif)) == (1, 1)
    assert np.array_equal(decode_image(tagged(whole, exif), MOST), decode_image(whole, MOST))


def test_more_fields_than_there_are_don_t_hide_those_that_are_there() -> None:
    assert both(tagged(PNG, b"II*\0" + struct.pack("<IH", 8, 999) + tiff(6)[10:])) == (6, 6)


def test_text_that_only_says_exif_turns_nothing() -> None:
    assert both(tagged(JPEG, b"")[:2] + segment(0xFE, EXIF + tiff(6)) + JPEG[2:]) == (1, 1)
    assert both(JPEG + segment(0xE1, EXIF + tiff(6))) == (1, 1)  # behind the picture's end
    assert both(b"GIF89a" + EXIF + tiff(6)) == (1, 1)


@pytest.mark.parametrize(
    "file",
    [
        JPEG[:2] + b"\xff\xd0" * (MOST_PARTS + 1) + tagged(JPEG, tiff(6))[2:],
        PNG[:8] + chunk(b"xxXx", b"") * (MOST_PARTS + 1) + tagged(PNG, tiff(6))[8:],
    ],
    ids=["JPEG", "PNG"],
)
def test_the_search_ends_after_some_thousands_of_parts(file: bytes) -> None:
    assert both(file) == (1, 1)


# Files made of what may be in one, in any order, and then damaged: no decoder has to take them.
BLOCK = st.one_of(
    st.builds(tiff, st.integers(0, 10), st.sampled_from("<>"), before=st.integers(0, 3)), st.binary(max_size=40)
)
PIECE = st.one_of(
    st.builds(segment, st.sampled_from([0xE1, 0xE0, 0xDB, 0xC0, 0xFE]), st.binary(max_size=20)),
    BLOCK.map(lambda block: segment(0xE1, EXIF + block)),
    BLOCK.map(lambda block: chunk(b"eXIf", block)),
    BLOCK.map(lambda block: chunk(b"eXIf", EXIF + block)),
    st.builds(chunk, st.sampled_from([b"IHDR", b"IDAT", b"tEXt", b"IEND"]), st.binary(max_size=20)),
    st.sampled_from(
        [b"\xff", b"\xff\xff", b"\xff\0", b"\xff\xd3", b"\xff\x01", b"\xff\xda", b"\xff\xd9", EXIF, b"eXIf"]
    ),
    st.binary(max_size=12),
)


@settings(max_examples=600, deadline=None)
@given(
    head=st.sampled_from([b"\xff\xd8\xff", b"\xff\xd8", b"\x89PNG\r\n\x1a\n"]),
    pieces=st.lists(PIECE, max_size=5),
    damage=st.lists(st.tuples(st.integers(3, 400), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 60),
)
def test_python_and_the_graph_read_the_same_in_any_file(
    head: bytes, pieces: list[bytes], damage: list[tuple[int, int]], cut: int
) -> None:
    made = bytearray(head + b"".join(pieces))
    for position, value in damage:
        if len(made) > 3:
            made[max(position % len(made), 3)] = value
    one, other = both(bytes(made[: max(len(made) - cut, 0)]))
    assert one == other
