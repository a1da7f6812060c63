"""Making a span of a batch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from ml import layout, releases, windows
from ml.batches import read_refusals
from ml.claims import claim_number
from ml.errors import ConflictError, DataError, NotFoundError
from ml.kinds.images.encoded import content_hash, decode_image
from ml.records import SampleFate
from ml.settings_sections import DataSettings
from ml.settling import settle
from ml.spans.documents import list_spans, read_contents, read_samples, read_span
from ml.spans.preparation import prepare
from ml.spans.truths import LeftOut
from ml.spans.window_contents import window_contents
from tests.ml.spans.reading import contents, examples, files_of

Draw = Callable[..., bytes]
FEATURES = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.string)}


def test_mixed_sizes_types_and_colour_spaces_become_examples_as_they_were_collected(inbox: Any, draw: Draw) -> None:
    collected = [
        inbox.drop("cat/a.png", draw("a", side=5)),
        inbox.drop("cat/b.jpg", draw("b", "JPEG", side=31)),
        inbox.drop("cat/c.jpeg", draw("c", "JPEG", side=64)),
        inbox.drop("a cat's 'ünïcode' \"label\"/with space.png", draw("d")),
    ]
    span = prepare(inbox.storage, inbox.settings, inbox.freeze())
    assert span.refused == 0
    found = {image for split in ("train", "eval") for _, image in examples(inbox.storage, 1, split)}
    assert found == {file.read_bytes() for file in collected}
    assert "a cat's 'ünïcode' \"label\"" in span.classes


def test_duplicates_are_dropped_and_counted_and_the_first_name_wins(inbox: Any, draw: Draw) -> None:
    inbox.fill({"cat": 10})
    inbox.drop("cat/zz-again.png", draw("cat-3", compress_level=0))  # the same picture, encoded otherwise
    inbox.drop("cat/0-again.png", draw("cat-3"))
    span = prepare(inbox.storage, inbox.settings, inbox.freeze())
    assert (span.train + span.eval, span.duplicates) == (10, 2)
    fates = {sample.object: sample for sample in read_samples(inbox.storage, 1)}
    assert fates["cat/3.png"].fate is SampleFate.DUPLICATE
    assert fates["cat/zz-again.png"].fate is SampleFate.DUPLICATE
    assert fates["cat/0-again.png"].fate in (SampleFate.TRAIN, SampleFate.EVAL)
    assert fates["cat/0-again.png"].content == fates["cat/3.png"].content


def test_the_same_picture_under_two_labels_is_refused_wherever_it_lies(inbox: Any, draw: Draw) -> None:
    inbox.fill({"cat": 10, "dog": 10})
    inbox.drop("dog/that-cat.png", draw("cat-3"))
    batch = inbox.freeze()
    span = prepare(inbox.storage, inbox.settings, batch)
    assert span.refused == 2
    reasons = set(read_refusals(inbox.storage, batch).values())
    assert reasons == {"the same picture lies under the labels 'cat' and 'dog': keep it under one"}


def test_what_can_not_be_decoded_is_refused_with_its_reason_and_the_rest_goes_on(inbox: Any, draw: Draw) -> None:
    inbox.fill({"cat": 10})
    inbox.drop("cat/cut.png", draw("x", side=40)[:300])
    inbox.drop("cat/text.png", b"not an image")
    inbox.drop("cat/large.png", draw("y", side=60))
    inbox.drop("cat/unknown layout/x.png", draw("z"))
    data = DataSettings(max_sample_pixels=2500, max_refused_share=0.5)
    settings = inbox.settings.model_copy(update={"data": data})
    batch = inbox.freeze()
    span = prepare(inbox.storage, settings, batch)
    assert (span.train + span.eval, span.refused) == (10, 4)
    reasons = sorted(read_refusals(inbox.storage, batch).values())
    assert reasons[0] == "can't be decoded: truncated PNG file"
    assert reasons[1] == "too many pixels: 60 × 60, allowed are 2500"
    assert reasons[2].startswith("wrong type")
    assert len(reasons) == 3  # the unknown layout was refused when the batch was frozen


def test_a_vanished_and_a_replaced_object_are_refused_and_what_arrived_later_is_not_in_the_span(
    inbox: Any, draw: Draw
) -> None:
    inbox.fill({"cat": 10})
    batch = inbox.freeze()
    (inbox.folder / "cat/1.png").unlink()
    inbox.drop("cat/2.png", draw("another"))
    (inbox.folder / "cat/3.png").unlink()
    (inbox.folder / "cat/3.png").symlink_to("/etc/hostname")
    inbox.drop("cat/late.png", draw("late"))
    span = prepare(inbox.storage, inbox.settings, batch)
    assert (span.train + span.eval, span.refused) == (7, 3)
    assert sorted(read_refusals(inbox.storage, batch).values()) == [
        "vanished after the batch was frozen",
        "was replaced after the batch was frozen",
        "was replaced after the batch was frozen",
    ]


def test_every_sample_of_the_batch_has_a_fate_in_the_manifests_order(inbox: Any, draw: Draw) -> None:
    inbox.fill({"cat": 5, "dog": 5})
    inbox.drop("cat/bad.png", b"bad")
    inbox.drop("cat/twin.png", draw("cat-0"))
    inbox.drop("stray.png", draw("stray"))
    batch = inbox.freeze()
    span = prepare(inbox.storage, inbox.settings, batch)
    fates = list(read_samples(inbox.storage, 1))
    listed = inbox.storage.read(layout.batch(batch, layout.MANIFEST)).decode().splitlines()
    assert len(fates) == len(listed) == 13
    assert all(fate.object in line for fate, line in zip(fates, listed, strict=True))
    counted = {kind: sum(fate.fate is kind for fate in fates) for kind in SampleFate}
    assert counted == {
        SampleFate.TRAIN: span.train,
        SampleFate.EVAL: span.eval,
        SampleFate.DUPLICATE: 1,
        SampleFate.REFUSED: 2,
    }
    assert all((fate.content is None) is (fate.fate is SampleFate.REFUSED) for fate in fates)


def test_contents_are_found_again_in_the_order_of_the_examples_and_a_new_label_is_a_correction(
    inbox: Any, draw: Draw
) -> None:
    inbox.fill({"cat": 10, "dog": 5})
    first = inbox.freeze("first")
    prepare(inbox.storage, inbox.settings, first)
    settle(inbox.storage, first)
    inbox.drop("dog/no-cat.png", draw("cat-3"))
    inbox.drop("dog/again.png", draw("dog-1"))
    prepare(inbox.storage, inbox.settings, inbox.freeze("second"))
    for number in (1, 2):
        for split, found in read_contents(inbox.storage, number, "").items():
            shown = [
                bytes.fromhex(content_hash(decode_image(image, 10**6)))[:16]
                for _, image in examples(inbox.storage, number, split.value)
            ]
            assert found.keys.tolist() == np.array(shown, "S16").tolist()
    window = window_contents(inbox.storage, list_spans(inbox.storage), "", strata_are_classes=True)
    assert window.left_out == LeftOut(corrected=1, repeated=1)
    assert {name: count.train + count.eval for name, count in window.classes.items()} == {"cat": 9, "dog": 6}


def test_the_statistics_have_one_row_for_each_example(inbox: Any) -> None:
    inbox.fill({"cat": 10, "dog": 5})
    prepare(inbox.storage, inbox.settings, inbox.freeze())
    with np.load(inbox.storage.uri(layout.span(1, layout.SPAN_STATISTICS)), allow_pickle=False) as columns:
        assert columns["split"].tolist() == ["train"] * 12 + ["eval"] * 3
        assert sorted(columns["label"]) == ["cat"] * 10 + ["dog"] * 5
        assert columns["width"].tolist() == [8.0] * 15
        assert columns["brightness"].dtype == np.float32
        assert len(np.unique(columns["brightness"])) == 15


def test_a_repeat_returns_the_same_span_and_leaves_every_byte(inbox: Any) -> None:
    inbox.fill({"cat": 10})
    batch = inbox.freeze()
    span = prepare(inbox.storage, inbox.settings, batch)
    settle(inbox.storage, batch)
    before = files_of(Path(inbox.storage.uri()))
    assert prepare(inbox.storage, inbox.settings, batch) == span
    assert files_of(Path(inbox.storage.uri())) == before
    assert windows.complete_spans(inbox.storage) == [1]


def test_a_span_that_was_lost_before_it_was_published_is_made_again_with_the_same_bytes(inbox: Any) -> None:
    inbox.fill({"cat": 25, "dog": 7})
    batch = inbox.freeze()
    prepare(inbox.storage, inbox.settings, batch)
    folder = Path(inbox.storage.uri("spans/span-1"))
    before = files_of(folder)
    (folder / layout.SPAN).unlink()  # a store without renames crashed before the marker
    (folder / "train/data-00000-of-00001.tfrecord.gz").write_bytes(b"half")
    prepare(inbox.storage, inbox.settings, batch)
    assert files_of(folder) == before


def test_spans_are_numbers_so_the_one_after_9_is_10_and_then_11(inbox: Any) -> None:
    for number in range(1, 10):
        assert claim_number(inbox.storage, "spans", by=f"earlier {number}") == number
    for run, expected in (("a", 10), ("b", 11)):
        inbox.fill({"cat": 3}, first=expected * 10)
        batch = inbox.freeze(run)
        assert prepare(inbox.storage, inbox.settings, batch).span == expected
        settle(inbox.storage, batch)
    assert [span.span for span in list_spans(inbox.storage)] == [10, 11]
    assert read_span(inbox.storage, 11).train == 2


def test_two_batches_prepared_at_once_get_two_numbers_and_agree_on_every_image(inbox: Any, tmp_path: Path) -> None:
    inbox.fill({"cat": 40})
    first = inbox.freeze("first")
    # A second open batch over the same pictures, as no freeze would make it: the hardest case for the splits.
    text = inbox.storage.read(layout.batch(first, layout.BATCH)).replace(first.encode(), b"second-00000000")
    inbox.storage.write(layout.batch("second-00000000", layout.BATCH), text)
    manifest = inbox.storage.read(layout.batch(first, layout.MANIFEST)).splitlines(keepends=True)
    inbox.storage.write(layout.batch("second-00000000", layout.MANIFEST), b"".join(manifest[:25]))
    made = []
    start = threading.Barrier(2)

    def run(batch: str) -> None:
        start.wait()
        made.append(prepare(inbox.storage, inbox.settings, batch))

    threads = [threading.Thread(target=run, args=(batch,)) for batch in (first, "second-00000000")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(span.span for span in made) == [1, 2]
    train = contents(inbox.storage, 1, "train") | contents(inbox.storage, 2, "train")
    assert not train & (contents(inbox.storage, 1, "eval") | contents(inbox.storage, 2, "eval"))


def test_a_batch_of_broken_images_alone_publishes_nothing_and_says_why(inbox: Any) -> None:
    for number in range(5):
        inbox.drop(f"cat/{number}.png", b"broken")
    batch = inbox.freeze()
    with pytest.raises(DataError, match=r"no usable sample: all 5 were refused .*wrong type") as refused:
        prepare(inbox.storage, inbox.settings, batch)
    assert "\n" not in str(refused.value)
    assert windows.complete_spans(inbox.storage) == []
    assert len(read_refusals(inbox.storage, batch)) == 5


def test_too_large_a_share_of_refused_samples_publishes_nothing(inbox: Any) -> None:
    inbox.fill({"cat": 5})
    for number in range(6):
        inbox.drop(f"cat/bad{number}.png", b"broken")
    batch = inbox.freeze()
    with pytest.raises(DataError, match=r"6 of 11 samples .*max_refused_share"):
        prepare(inbox.storage, inbox.settings, batch)
    assert windows.complete_spans(inbox.storage) == []
    assert not inbox.storage.exists(layout.claim("spans", 1))


def test_one_class_alone_is_a_span(inbox: Any) -> None:
    inbox.fill({"cat": 10})
    assert list(prepare(inbox.storage, inbox.settings, inbox.freeze()).classes) == ["cat"]


def test_a_single_sample_leaves_an_eval_split_that_reads_as_empty(inbox: Any) -> None:
    inbox.fill({"cat": 1})
    span = prepare(inbox.storage, inbox.settings, inbox.freeze())
    assert (span.train, span.eval) == (1, 0)
    assert examples(inbox.storage, 1, "eval") == []


def test_a_batch_that_does_not_exist_is_not_found_and_claims_nothing(inbox: Any) -> None:
    with pytest.raises(NotFoundError, match="no batch"):
        prepare(inbox.storage, inbox.settings, "none-00000000")
    assert not inbox.storage.exists(layout.claim("spans", 1))


def test_a_closed_batch_without_a_span_is_a_conflict(inbox: Any) -> None:
    inbox.fill({"cat": 4})
    batch = inbox.freeze()
    settle(inbox.storage, batch)
    with pytest.raises(ConflictError, match="is archived"):
        prepare(inbox.storage, inbox.settings, batch)


def test_nothing_moves_while_a_span_is_prepared(inbox: Any) -> None:
    inbox.fill({"cat": 10})
    inbox.drop("cat/bad.png", b"bad")
    before = files_of(inbox.folder)
    prepare(inbox.storage, inbox.settings, inbox.freeze())
    assert files_of(inbox.folder) == before
    assert releases.serving(inbox.storage) is None
