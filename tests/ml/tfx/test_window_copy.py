"""What a split of a run holds, of what the spans do: each content once, as the newest span has it."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from ml.home import pipeline_storage
from ml.spans.damage import DamagedSpanError
from ml.spans.shards import read_framed
from ml.tfx.window_copy import Part, parts_of, write_split
from ml.tfx.window_files import window_files
from tests.ml.tfx.digits_pipeline import PIPELINE, example, write_span


def image_of(record: bytes) -> bytes:
    return tf.train.Example.FromString(record).features.feature["image"].bytes_list.value[0]  # type: ignore[no-any-return]


def span(number: int, train: dict[str, str], evaluation: dict[str, str]) -> None:
    """Splits of picture → label."""
    in_train, in_eval = (
        [example(picture.encode(), label) for picture, label in one.items()] for one in (train, evaluation)
    )
    write_span(number, in_train, in_eval, image_of)


def parts(window: list[int], comparison: list[int]) -> dict[str, list[Part]]:
    return parts_of(window_files(pipeline_storage(PIPELINE), window, comparison)[0])


def written(split: list[Part], folder: Path) -> list[tuple[str, str]]:
    """(picture, label) of each example, in order."""
    count = write_split(split, str(folder))
    files = sorted(map(str, folder.iterdir()))
    records = list(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator())
    assert len(records) == count
    features = [tf.train.Example.FromString(record).features.feature for record in records]
    return [tuple(one[name].bytes_list.value[0].decode() for name in ("image", "label")) for one in features]


def in_order(examples: dict[str, str]) -> list[tuple[str, str]]:
    return sorted(examples.items(), key=lambda item: hashlib.sha256(item[0].encode()).digest())


def test_the_newest_truth_of_a_content_is_read_once_and_the_rest_keeps_its_order(
    respan_home: Path, tmp_path: Path
) -> None:
    span(9, {"seen": "3", "a": "1", "b": "2"}, {"held": "3", "c": "1"})
    span(10, {"seen": "8", "d": "4"}, {"held": "8"})
    span(11, {"seen": "9"}, {"held": "9", "e": "5"})
    found = parts([9, 10], [9, 10, 11])
    assert written(found["train"], tmp_path / "train") == [
        *in_order({"a": "1", "b": "2"}),
        *in_order({"seen": "8", "d": "4"}),
    ]
    assert written(found["eval"], tmp_path / "eval") == [("c", "1"), ("held", "8")]
    assert written(found["held_out"], tmp_path / "held_out") == [("c", "1"), *in_order({"held": "9", "e": "5"})]


def test_a_file_from_which_nothing_is_left_out_is_copied_byte_for_byte(respan_home: Path, tmp_path: Path) -> None:
    span(1, {"a": "1", "x": "old"}, {"e": "1"})
    span(2, {"x": "new"}, {"f": "1"})
    train = parts([1, 2], [1, 2])["train"]
    write_split(train, str(tmp_path / "one"))
    write_split(train, str(tmp_path / "other"))
    one, other = ([file.read_bytes() for file in sorted((tmp_path / name).iterdir())] for name in ("one", "other"))
    published = Path(pipeline_storage(PIPELINE).uri("spans/span-2/train/data-00000-of-00001.tfrecord.gz"))
    assert one[1] == published.read_bytes()
    assert one == other


def test_a_span_whose_examples_all_came_back_gives_an_empty_file(respan_home: Path, tmp_path: Path) -> None:
    span(1, {"a": "1"}, {"e": "1"})
    span(2, {"a": "2"}, {"e": "2"})
    assert written(parts([1, 2], [1, 2])["train"], tmp_path / "train") == [("a", "2")]
    assert len(list((tmp_path / "train").iterdir())) == 2


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


def with_a_wrong_record(data: bytes) -> bytes:
    """A whole gzip file of a record that doesn't fit its checksum."""
    return gzip.compress(flipped(gzip.decompress(data)))


def with_one_record_less(data: bytes) -> bytes:
    records = list(read_framed(io.BytesIO(data)))
    return gzip.compress(b"".join(records[:-1]))


@pytest.mark.parametrize("left_out", [False, True], ids=["copied", "written again"])
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[:-9], "train/data-00000-of-00001.tfrecord.gz is damaged (Compressed file ended before"),
        (flipped, "train/data-00000-of-00001.tfrecord.gz is damaged ("),
        (with_a_wrong_record, "train/data-00000-of-00001.tfrecord.gz is damaged ("),
        (with_one_record_less, "folder train is damaged (it has 2 examples, and samples.jsonl.gz names 3)"),
        (None, "train/data-00000-of-00001.tfrecord.gz is damaged (it is missing)"),
    ],
    ids=["short", "flipped bit", "wrong checksum", "one record less", "missing"],
)
def test_a_damaged_file_of_the_window_stops_the_run_with_its_span_and_what_to_do(
    respan_home: Path, tmp_path: Path, damage: Callable[[bytes], bytes] | None, told: str, left_out: bool
) -> None:
    span(3, {"a": "1", "b": "2", "c": "3"}, {"e": "1"})
    span(4, {"a": "2"} if left_out else {"f": "1"}, {"g": "1"})
    found = parts([3, 4], [3, 4])
    file = Path(pipeline_storage(PIPELINE).uri("spans/span-3/train/data-00000-of-00001.tfrecord.gz"))
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DamagedSpanError) as raised:
        write_split(found["train"], str(tmp_path / "train"))
    assert str(raised.value).startswith(f"span 3's {told}")
    assert str(raised.value).endswith(
        "): restore it from a backup, or train without the span, with --window and the numbers of the others"
    )


@pytest.mark.parametrize("name", ["samples.jsonl.gz", "eval/data-00000-of-00001.tfrecord.gz"])
def test_a_damaged_span_outside_of_the_window_is_left_out_of_the_comparison(
    respan_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    span(1, {"a": "1"}, {"e": "1"})
    span(2, {"b": "1"}, {"f": "1"})
    file = Path(pipeline_storage(PIPELINE).uri(f"spans/span-2/{name}"))
    file.write_bytes(file.read_bytes()[:-12])
    assert written(parts([1], [1, 2])["held_out"], tmp_path / "held_out") == [("e", "1")]
    assert f"span 2's {name} is damaged" in capsys.readouterr().err
