"""Images with their masks on the way into a span: what is taken, in which form, and what is refused and why."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ml import layout
from ml.audit import audit
from ml.batches import read_refusals
from ml.errors import DataError
from ml.freezing import freeze
from ml.kinds.semantic_segmentation.inspection import share_column
from ml.kinds.semantic_segmentation.kind import KIND
from ml.kinds.semantic_segmentation.masks import decode_mask, encode_mask
from ml.records import Span
from ml.settling import settle
from ml.spans.documents import list_spans
from ml.spans.preparation import prepare
from ml.spans.truths import LeftOut
from ml.spans.window_contents import window_contents
from ml.storage import Storage
from tests.ml.segmentation.scenes_world import (
    CLASSES,
    IDS,
    IGNORED,
    encoded,
    mask,
    picture,
    put,
    put_scenes,
    scene_settings,
)

SETTINGS = scene_settings()


def palette_png(ids: np.ndarray) -> bytes:
    image = Image.fromarray(ids, "P")
    image.putpalette(list(np.random.default_rng(5).integers(0, 256, 768, dtype=np.uint8)))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def sixteen_bits(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values.astype(np.uint16)).save(stream, "PNG")
    return stream.getvalue()


def spanned(storage: Storage, run: str = "run") -> tuple[Span, dict[int, str]]:
    """The span made of what is in the inbox, and the reasons of what was refused."""
    batch = freeze(storage, SETTINGS, run)
    return prepare(storage, SETTINGS, batch.id), read_refusals(storage, batch.id)


def examples(storage: Storage, number: int = 1) -> list[tuple[bytes, bytes]]:
    """(image, mask) of each example of both splits."""
    found = []
    for info in storage.list(layout.span(number)):
        if info.name.endswith(".tfrecord.gz"):
            for record in tf.data.TFRecordDataset([storage.uri(info.name)], "GZIP").as_numpy_iterator():
                features = tf.train.Example.FromString(record).features.feature
                found.append((features["image"].bytes_list.value[0], features["mask"].bytes_list.value[0]))
    return found


def test_each_pair_becomes_an_example_with_the_image_as_collected(storage: Storage) -> None:
    put_scenes(storage, range(6))
    span, refused = spanned(storage)
    assert (span.train + span.eval, refused) == (6, {})
    wanted = {(encoded(picture(seed)), encode_mask(mask(seed))) for seed in range(6)}
    assert set(examples(storage)) == wanted


def test_a_span_counts_in_how_many_images_each_class_occurs(storage: Storage) -> None:
    only_ground, both = np.zeros((6, 8), np.uint8), np.full((6, 8), 7, np.uint8)
    both[0] = 0
    for number in range(3):
        put(storage, f"a{number}", encoded(picture(number)), encode_mask(only_ground))
        put(storage, f"b{number}", encoded(picture(10 + number)), encode_mask(both))
    span, _ = spanned(storage)
    assert {name: count.train + count.eval for name, count in span.classes.items()} == {"ground": 6, "tree": 3}
    assert span.train + span.eval == 6


def test_statistics_have_each_class_share_of_the_labelled_area(storage: Storage) -> None:
    put_scenes(storage, range(4))
    ignoring = mask(9)
    ignoring[:3] = IGNORED
    put(storage, "ignoring", encoded(picture(9)), encode_mask(ignoring))
    spanned(storage)
    with np.load(io.BytesIO(storage.read(layout.span(1, layout.SPAN_STATISTICS)))) as columns:
        shares = np.stack([columns[share_column(name)] for name in CLASSES], axis=1)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    lower = ignoring[3:]
    own = [float(np.mean(lower == number)) for number in IDS]
    assert np.min(np.abs(shares - own).sum(axis=1)) < 1e-6


@pytest.mark.parametrize("form", [palette_png, sixteen_bits], ids=["palette", "16 bits"])
def test_a_mask_of_another_png_form_is_taken_by_its_class_ids(
    storage: Storage, form: Callable[[np.ndarray], bytes]
) -> None:
    put_scenes(storage, range(3))
    put(storage, "form", encoded(picture(50)), form(mask(50)))
    span, refused = spanned(storage)
    assert (span.train + span.eval, refused) == (4, {})
    [own] = [found for image, found in examples(storage) if image == encoded(picture(50))]
    assert own == encode_mask(mask(50))


@pytest.mark.parametrize("size", [(1, 1), (3000, 4000)], ids=["1 × 1", "4000 × 3000"])
def test_an_image_of_any_size_is_taken(storage: Storage, size: tuple[int, int]) -> None:
    put_scenes(storage, range(3))
    flat = np.full((*size, 3), 90, np.uint8)
    put(storage, "size", encoded(flat), encode_mask(np.full(size, 7, np.uint8)))
    span, refused = spanned(storage)
    assert (span.train + span.eval, refused) == (4, {})
    assert size in {decode_mask(found, 50_000_000).shape for _, found in examples(storage)}


@pytest.mark.parametrize(
    ("image", "true_mask", "reason"),
    [
        (encoded(picture(1, 6, 8)), encode_mask(mask(1, 6, 9)), "the mask is 9 × 6, and its image 8 × 6"),
        (encoded(picture(1)), encode_mask(np.full((6, 8), 9, np.uint8)), "no class's id: 9"),
        (encoded(picture(1)), sixteen_bits(np.full((6, 8), 300)), "value 300"),
        (encoded(picture(1)), encoded(picture(2)), "RGB colours"),
        (encoded(picture(1)), encoded(mask(1), "JPEG"), "has to be a PNG"),
        (encoded(picture(1)), encode_mask(mask(1))[:-30], "can't be decoded"),
        (encoded(picture(1)), encode_mask(np.full((6, 8), IGNORED, np.uint8)), "labels no pixel"),
        (b"no image at all", encode_mask(mask(1)), "neither PNG nor JPEG"),
    ],
    ids=["size", "unknown class", "16 bits too large", "colours", "JPEG", "truncated", "all ignored", "broken image"],
)
def test_what_can_not_be_used_is_refused_with_its_reason_and_the_rest_goes_on(
    storage: Storage, image: bytes, true_mask: bytes, reason: str
) -> None:
    put_scenes(storage, range(3))
    put(storage, "zz-bad", image, true_mask)
    span, refused = spanned(storage)
    assert span.train + span.eval == 3
    [told] = refused.values()
    assert reason in told
    batch = span.batch
    settle(storage, batch)
    moved = {info.name.rsplit("samples/", 1)[1] for info in storage.list(f"quarantine/{batch}/samples")}
    assert moved == {"images/zz-bad.png", "masks/zz-bad.png"}
    found = audit(storage, KIND)
    assert (found.collected, found.archived, found.quarantined, found.lost, found.duplicated) == (4, 3, 1, 0, 0)


@pytest.mark.parametrize(("image", "true_mask"), [(None, encode_mask(mask(1))), (encoded(picture(1)), None)])
def test_half_a_sample_is_none_and_waits_in_the_inbox(
    storage: Storage, image: bytes | None, true_mask: bytes | None
) -> None:
    put_scenes(storage, range(3))
    put(storage, "half", image, true_mask)
    span, refused = spanned(storage)
    assert (span.train + span.eval, refused) == (3, {})
    settle(storage, span.batch)
    found = audit(storage, KIND)
    assert (found.collected, found.archived, found.inbox, found.incomplete) == (3, 3, 0, 1)
    assert len(list(storage.list(layout.INBOX))) == 1


def test_one_picture_with_two_masks_is_refused_and_a_true_copy_counts_once(storage: Storage) -> None:
    put_scenes(storage, range(3))
    put(storage, "one", encoded(picture(60)), encode_mask(mask(60)))
    put(storage, "other", encoded(picture(60)), encode_mask(mask(61)))
    put(storage, "copy", encoded(picture(0)), encode_mask(mask(0)))
    span, refused = spanned(storage)
    assert (span.train + span.eval, span.duplicates) == (3, 1)
    assert set(refused.values()) == {"the same picture has two different masks: keep the right one"}
    assert len(refused) == 2


def test_a_picture_that_comes_back_with_another_mask_is_a_correction(storage: Storage) -> None:
    put_scenes(storage, range(4))
    span, _ = spanned(storage)
    settle(storage, span.batch)
    put(storage, "again", encoded(picture(0)), encode_mask(mask(0)))
    put(storage, "corrected", encoded(picture(1)), encode_mask(mask(61)))
    spanned(storage, "second")
    window = window_contents(storage, list_spans(storage), "", strata_are_classes=False)
    assert window.left_out == LeftOut(corrected=1, repeated=1)
    assert window.train + window.eval == 4


def test_a_span_of_the_same_samples_has_the_same_bytes(storage: Storage) -> None:
    put_scenes(storage, range(5))
    other = storage.child("again")
    put_scenes(other, range(4, -1, -1))
    spanned(storage)
    spanned(other)
    for name in ("train", "eval"):
        ours, theirs = (
            b"".join(
                gzip.decompress(place.read(info.name))
                for info in sorted(place.list(layout.span(1, name)), key=lambda info: info.name)
            )
            for place in (storage, other)
        )
        assert ours == theirs


def test_nothing_usable_is_an_error_with_the_most_frequent_reason(storage: Storage) -> None:
    put(storage, "bad", encoded(picture(1)), encode_mask(np.full((6, 8), 9, np.uint8)))
    with pytest.raises(DataError, match="no class's id: 9"):
        spanned(storage)
