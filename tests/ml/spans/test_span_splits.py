"""Which split an image is in, in one span and in all later ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given
from hypothesis import settings as checked
from hypothesis import strategies as st

from ml import layout, windows
from ml.errors import DataError
from ml.freezing import freeze
from ml.kinds.images.encoded import content_hash, decode_image
from ml.settings import Settings
from ml.settings_sections import DataSettings
from ml.settling import settle
from ml.spans.preparation import prepare
from ml.storage import open_storage
from tests.ml.spans.reading import contents, examples, files_of

Draw = Callable[..., bytes]
FEATURES = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.string)}


def test_each_class_gives_its_share_to_eval_and_nothing_is_lost(inbox: Any) -> None:
    inbox.fill({"cat": 20, "dog": 10, "rare": 2, "single": 1})
    span = prepare(inbox.storage, inbox.settings, inbox.freeze())
    assert {label: (count.train, count.eval) for label, count in span.classes.items()} == {
        "cat": (16, 4),
        "dog": (8, 2),
        "rare": (1, 1),
        "single": (1, 0),
    }
    found = [example for split in ("train", "eval") for example in examples(inbox.storage, 1, split)]
    dropped = [(file.parent.name, file.read_bytes()) for file in inbox.folder.glob("*/*")]
    assert sorted(found) == sorted(dropped)
    assert (span.span, span.train, span.eval, span.duplicates, span.refused) == (1, 26, 7, 0, 0)


def test_no_image_is_in_both_splits(inbox: Any) -> None:
    inbox.fill({"cat": 30, "dog": 30})
    prepare(inbox.storage, inbox.settings, inbox.freeze())
    assert not contents(inbox.storage, 1, "train") & contents(inbox.storage, 1, "eval")


def test_eval_has_the_smallest_content_hashes_and_files_are_sorted_by_them(inbox: Any) -> None:
    inbox.fill({"cat": 25})
    prepare(inbox.storage, inbox.settings, inbox.freeze())
    hashes = {
        split: [content_hash(decode_image(image, 10**6)) for _, image in examples(inbox.storage, 1, split)]
        for split in ("eval", "train")
    }
    assert hashes["eval"] + hashes["train"] == sorted(hashes["eval"] + hashes["train"])


def test_examples_are_spread_over_shards(inbox: Any) -> None:
    inbox.fill({"cat": 20})
    data = DataSettings(shard_samples=5)
    prepare(inbox.storage, inbox.settings.model_copy(update={"data": data}), inbox.freeze())
    folder = Path(inbox.storage.uri("spans/span-1"))
    assert sorted(f.name for f in (folder / "train").iterdir()) == [
        f"data-0000{n}-of-00004.tfrecord.gz" for n in range(4)
    ]
    assert len(examples(inbox.storage, 1, "train")) == 16


def test_an_image_keeps_its_split_in_later_spans(inbox: Any) -> None:
    inbox.fill({"cat": 20})
    first = inbox.freeze("first")
    prepare(inbox.storage, inbox.settings, first)
    settle(inbox.storage, first)
    inbox.fill({"cat": 30})  # the same twenty and ten others
    span = prepare(inbox.storage, inbox.settings, inbox.freeze("second"))
    assert span.span == 2
    assert (span.train, span.eval) == (24, 6)
    train = contents(inbox.storage, 1, "train") | contents(inbox.storage, 2, "train")
    evaluated = contents(inbox.storage, 1, "eval") | contents(inbox.storage, 2, "eval")
    assert not train & evaluated
    assert len(train | evaluated) == 30


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-1] + b"x"], ids=["short", "no side"])
def test_a_damaged_entry_of_the_ledger_is_named_and_nothing_is_published(
    inbox: Any, damage: Callable[[bytes], bytes]
) -> None:
    inbox.fill({"cat": 5})
    first = inbox.freeze("first")
    prepare(inbox.storage, inbox.settings, first)
    settle(inbox.storage, first)
    inbox.storage.write(layout.splits(1), damage(inbox.storage.read(layout.splits(1))))
    inbox.fill({"cat": 7})
    second = inbox.freeze("second")
    with pytest.raises(DataError, match=r"splits/1\.bin is damaged \(.+\): restore it from a backup"):
        prepare(inbox.storage, inbox.settings, second)
    assert windows.complete_spans(inbox.storage) == [1]


@checked(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.integers(0, 25), min_size=1, max_size=20), min_size=2, max_size=4))
def test_no_image_is_ever_on_both_sides_in_any_span(
    batches: list[list[int]], tmp_path_factory: pytest.TempPathFactory, draw: Draw, settings: Settings
) -> None:
    storage = open_storage(f"file://{tmp_path_factory.mktemp('storage')}")
    folder = Path(storage.uri(layout.INBOX))
    for run, numbers in enumerate(batches):
        for position, number in enumerate(numbers):
            file = folder / ("even" if number % 2 == 0 else "odd") / f"{run}-{position}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(draw(str(number)))
        batch = freeze(storage, settings, f"run {run}").id
        span = prepare(storage, settings, batch)
        assert span.train + span.eval == len(set(numbers))
        assert span.duplicates == len(numbers) - len(set(numbers))
        settle(storage, batch)
    sides: dict[str, set[str]] = {"train": set(), "eval": set()}
    for number in windows.complete_spans(storage):
        for split, found in sides.items():
            found |= contents(storage, number, split)
    assert not sides["train"] & sides["eval"]
    assert len(sides["train"] | sides["eval"]) == len({number for numbers in batches for number in numbers})


def test_the_same_samples_give_the_same_bytes_whatever_their_names_order_and_batch(
    inbox: Any, tmp_path: Path, draw: Draw, settings: Settings
) -> None:
    other = type(inbox)(tmp_path / "other", settings)
    for number in range(40):
        inbox.drop(f"cat/{number}.png", draw(str(number)))
        other.drop(f"cat/{(number * 17) % 40:03d}-renamed.png", draw(str(number)))
    prepare(inbox.storage, settings, inbox.freeze("one"))
    prepare(other.storage, settings, other.freeze("two"))
    one, two = (files_of(Path(place.storage.uri("spans/span-1"))) for place in (inbox, other))
    for name in one:
        if name not in (layout.SPAN, layout.SPAN_SAMPLES):
            assert one[name] == two[name], name
