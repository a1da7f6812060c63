"""What ExampleGen reads: the spans that the window names, and nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import tensorflow as tf

from ml.errors import DataError, NotFoundError
from ml.home import pipeline_storage
from ml.tfx.metadata import run_outputs
from tests.ml.tfx.digits_pipeline import PIPELINE, example, prepare, write_span

SPANS = (1, 2, 9, 10, 90, 99, 100, 101)


def _spans() -> None:
    for number in SPANS:
        labels = [f"{split}-{number}-{i}" for split in ("train", "eval") for i in range(2)]
        records = [example(b"bytes", label) for label in labels]
        write_span(number, records[:2], records[2:])


def _labels_read(run_id: str, window: list[int]) -> Counter[str]:
    run = prepare(run_id, window)
    run.run_node("ImportExampleGen")
    folder = run_outputs(run.metadata, pipeline_run(run_id))["ImportExampleGen"]["examples"]
    files = tf.io.gfile.glob(f"{folder}/Split-*/*")
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    examples = (tf.train.Example.FromString(record) for record in records)
    return Counter(one.features.feature["label"].bytes_list.value[0].decode() for one in examples)


def pipeline_run(run_id: str) -> str:
    from ml.runs import read_run

    return read_run(pipeline_storage(PIPELINE), run_id).run


@pytest.mark.parametrize("window", [[2], [9, 10], [99, 100, 101]], ids=str)
def test_exactly_the_spans_of_the_window_are_read(respan_home: Path, window: list[int]) -> None:
    _spans()
    expected = Counter(f"{split}-{n}-{i}" for n in window for split in ("train", "eval") for i in range(2))
    assert _labels_read("run", window) == expected


def test_without_a_window_the_newest_spans_by_number_are_read(respan_home: Path) -> None:
    _spans()
    assert {label.split("-")[1] for label in _labels_read("run", None)} == {"100", "101"}  # type: ignore[arg-type]


def test_the_same_window_comes_from_the_cache_and_a_changed_file_does_not(respan_home: Path) -> None:
    _spans()
    assert prepare("a", [9, 10]).run_node("ImportExampleGen").state == "succeeded"
    assert prepare("b", [9, 10]).run_node("ImportExampleGen").state == "cached"
    assert prepare("c", [9]).run_node("ImportExampleGen").state == "succeeded"
    write_span(10, [example(b"other", "x")], [example(b"other", "y")])
    assert prepare("d", [9, 10]).run_node("ImportExampleGen").state == "succeeded"


def test_a_window_with_a_span_that_does_not_exist_is_refused(respan_home: Path) -> None:
    _spans()
    with pytest.raises(NotFoundError, match=r"span 3 .* is not complete; complete spans: 1,2,9,10,90,99,100,101"):
        prepare("run", [2, 3])


def test_a_run_without_any_span_is_refused(respan_home: Path) -> None:
    with pytest.raises(DataError, match="no complete span"):
        prepare("run")


def test_a_window_without_eval_examples_stops_the_run(respan_home: Path) -> None:
    write_span(1, [example(b"bytes", "a")], [])
    storage = pipeline_storage(PIPELINE)
    storage.delete("spans/span-1/eval/data-00000-of-00001.tfrecord.gz")
    with pytest.raises(DataError, match="no eval examples"):
        prepare("run", [1]).run_node("ImportExampleGen")
