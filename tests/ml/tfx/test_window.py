"""What ExampleGen reads: the spans that the window names, and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import tensorflow as tf

from ml.errors import DataError, NotFoundError
from ml.home import pipeline_storage
from ml.tfx.metadata import run_outputs
from tests.ml.tfx.digits_pipeline import PIPELINE, digits, example, prepare, write_span

SPANS = (1, 2, 9, 10, 90, 99, 100, 101)
_OUTPUTS = {"ImportExampleGen": "examples", "StatisticsGen": "statistics"}


def _spans() -> None:
    for number in SPANS:
        labels = [f"{split}-{number}-{i}" for split in ("train", "eval") for i in range(2)]
        records = [example(b"bytes", label) for label in labels]
        write_span(number, records[:2], records[2:])


def _examples_read(run_id: str, window: list[int] | None, *splits: str, **settings: str) -> list[tuple[bytes, str]]:
    """(image, label) of what ExampleGen gives in ``splits``, in order."""
    run = prepare(run_id, window, **settings)
    run.run_node("ImportExampleGen")
    folder = run_outputs(run.metadata, pipeline_run(run_id))["ImportExampleGen"]["examples"]
    files = [file for split in splits for file in sorted(tf.io.gfile.glob(f"{folder}/Split-{split}/*"))]
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    features = [tf.train.Example.FromString(record).features.feature for record in records]
    return [(one["image"].bytes_list.value[0], one["label"].bytes_list.value[0].decode()) for one in features]


def _labels_read(run_id: str, window: list[int] | None) -> Counter[str]:
    return Counter(label for _, label in _examples_read(run_id, window, "train", "eval"))


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
    assert {label.split("-")[1] for label in _labels_read("run", None)} == {"100", "101"}


def test_the_same_window_comes_from_the_cache_and_a_changed_file_does_not(respan_home: Path) -> None:
    _spans()
    assert prepare("a", [9, 10]).run_node("ImportExampleGen").state == "succeeded"
    assert prepare("b", [9, 10]).run_node("ImportExampleGen").state == "cached"
    assert prepare("c", [9]).run_node("ImportExampleGen").state == "succeeded"
    write_span(10, [example(b"other", "x")], [example(b"other", "y")])
    assert prepare("d", [9, 10]).run_node("ImportExampleGen").state == "succeeded"
    write_span(102, [example(b"new", "x")], [example(b"new", "y")])
    assert prepare("e", [9, 10]).run_node("ImportExampleGen").state == "succeeded", "there is more to compare on"


def test_a_window_with_a_span_that_does_not_exist_is_refused(respan_home: Path) -> None:
    _spans()
    with pytest.raises(NotFoundError, match=r"span 3 .* is not complete; complete spans: 1,2,9,10,90,99,100,101"):
        prepare("run", [2, 3])


def test_a_run_without_any_span_is_refused(respan_home: Path) -> None:
    with pytest.raises(DataError, match="no complete span"):
        prepare("run")


def test_the_eval_examples_of_every_span_are_held_out_for_the_comparison(respan_home: Path) -> None:
    _spans()
    expected = {f"eval-{n}-{i}" for n in SPANS for i in range(2)}
    held_out = [label for _, label in _examples_read("run", [9, 10], "held_out")]
    assert set(held_out) == expected
    assert len(held_out) == len(expected)


def test_the_comparison_may_be_limited_to_the_newest_spans_beside_the_window(respan_home: Path) -> None:
    _spans()
    held_out = _examples_read("run", [9], "held_out", training__comparison_spans="2")
    assert {label.split("-")[1] for _, label in held_out} == {"9", "100", "101"}


def test_a_run_keeps_the_spans_of_its_comparison(respan_home: Path) -> None:
    _spans()
    prepare("run", [9])
    write_span(102, [example(b"a", "a")], [example(b"b", "b")])
    held_out = _examples_read("run", [9], "held_out")
    assert {label.split("-")[1] for _, label in held_out} == {str(n) for n in SPANS}


def test_a_run_that_was_started_before_there_was_a_comparison_holds_out_its_window(respan_home: Path) -> None:
    _spans()
    prepare("run", [9])
    begun = pipeline_run("run")
    storage = pipeline_storage(PIPELINE)
    written = json.loads(storage.read(f"runs/{begun}/run.json"))
    del written["comparison"]
    storage.write(f"runs/{begun}/run.json", json.dumps(written).encode())
    held_out = _examples_read("run", [9], "held_out")
    assert {label.split("-")[1] for _, label in held_out} == {"9"}


def test_no_statistics_are_made_of_what_is_held_out(respan_home: Path) -> None:
    records = [example(image, label) for image, label in digits(0, 24)]
    write_span(1, records[:8], records[8:12])
    write_span(2, records[12:20], records[20:])
    run = prepare("run", [1])
    for node in ("ImportExampleGen", "ImportSchemaGen", "StatisticsGen"):
        run.run_node(node)
    outputs = run_outputs(run.metadata, pipeline_run("run"))
    folders = {key: {file.name for file in Path(outputs[node][key]).iterdir()} for node, key in _OUTPUTS.items()}
    assert folders["statistics"] == {"Split-train", "Split-eval"}
    assert folders["examples"] == {"Split-train", "Split-eval", "Split-held_out"}


def test_a_window_without_eval_examples_stops_the_run(respan_home: Path) -> None:
    write_span(1, [example(b"bytes", "a")], [])
    with pytest.raises(DataError, match="window 1 has no eval examples"):
        prepare("run", [1]).run_node("ImportExampleGen")
