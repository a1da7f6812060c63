"""The schema: inferred once for review, then what every later span is held to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from ml.cli import run
from ml.errors import ConflictError, DataError, NotFoundError, SettingsError
from ml.home import PROJECT, pipeline_folder, pipeline_storage
from tests.ml.tfx.digits_pipeline import PIPELINE, digits, example, prepare, write_digits_span, write_span

pytestmark = pytest.mark.slow

_GATE = ("ImportExampleGen", "ImportSchemaGen", "StatisticsGen", "ExampleValidator")


@pytest.fixture
def schema_file(respan_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the schema of a copy of the pipeline belongs; it has none yet. Span 1 has 40 digits."""
    shutil.copytree(pipeline_folder(PIPELINE), tmp_path / "own" / PIPELINE)
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path / "own"))
    file = tmp_path / "own" / PIPELINE / "schema.pbtxt"
    file.unlink()
    write_digits_span(1, 0, 40)
    return file


def parsed(file: Path) -> dict[str, schema_pb2.Feature]:
    schema = text_format.Parse(file.read_text("utf-8"), schema_pb2.Schema())
    return {feature.name: feature for feature in schema.feature}


def through_the_gate(run_id: str, window: list[int]) -> None:
    training = prepare(run_id, window)
    for node in _GATE:
        training.run_node(node)


def test_a_pipeline_without_a_schema_does_not_train_and_says_what_to_do(schema_file: Path) -> None:
    with pytest.raises(NotFoundError, match=f"run `python -m ml schema infer {PIPELINE}`, and review it"):
        prepare("run", [1])


def test_the_first_schema_is_inferred_and_lets_its_window_pass(
    schema_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["schema", "infer", PIPELINE, "--window", "1"]) == 0
    assert f"wrote {schema_file} from window 1: review it before you train" in capsys.readouterr().err
    through_the_gate("run", [1])


def test_a_damaged_file_is_named_and_no_schema_is_written(
    schema_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "train/data-00000-of-00001.tfrecord.gz"
    file = Path(pipeline_storage(PIPELINE).uri(f"spans/span-1/{name}"))
    file.write_bytes(file.read_bytes()[:-20])
    assert run(["schema", "infer", PIPELINE]) == DataError.exit_code
    assert f"error: span 1's {name} is damaged (" in capsys.readouterr().err
    assert not schema_file.exists()


def test_the_inferred_schema_requires_what_is_in_every_example_and_leaves_labels_open(schema_file: Path) -> None:
    assert run(["schema", "infer", PIPELINE]) == 0
    features = parsed(schema_file)
    assert set(features) == {"image", "label"}
    assert features["image"].HasField("image_domain")
    for feature in features.values():
        assert feature.type == schema_pb2.BYTES
        assert feature.presence.min_fraction == 1
        assert [dimension.size for dimension in feature.shape.dim] == [1]
    assert features["label"].WhichOneof("domain_info") is None


def test_the_pipelines_own_schema_is_what_would_be_inferred(schema_file: Path) -> None:
    assert run(["schema", "infer", PIPELINE]) == 0
    assert parsed(schema_file) == parsed(PROJECT / "ml" / "pipelines" / PIPELINE / "schema.pbtxt")


def test_a_schema_that_may_have_been_reviewed_is_replaced_on_request_only(
    schema_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema_file.write_text("# reviewed\n", "utf-8")
    assert run(["schema", "infer", PIPELINE]) == ConflictError.exit_code
    assert "give --overwrite to replace it" in capsys.readouterr().err
    assert schema_file.read_text("utf-8") == "# reviewed\n"
    assert run(["schema", "infer", PIPELINE, "--overwrite"]) == 0
    assert set(parsed(schema_file)) == {"image", "label"}


def test_a_label_that_no_earlier_span_had_does_not_stop_the_run(respan_home: Path) -> None:
    write_digits_span(1, 0, 40)
    unseen = [example(image, "an unseen label") for image, _ in digits(40, 48)]
    write_span(2, unseen[2:], unseen[:2])
    through_the_gate("run", [1, 2])


@pytest.mark.parametrize("missing", ["image", "label"])
def test_a_span_in_which_a_feature_is_missing_stops_the_run(respan_home: Path, missing: str) -> None:
    write_digits_span(1, 0, 40)
    broken = [
        example(None if missing == "image" else image, None if missing == "label" else label)
        for image, label in digits(40, 48)
    ]
    write_span(2, broken, broken)
    with pytest.raises(DataError, match=f"feature {missing!r}"):
        through_the_gate("run", [1, 2])


def test_a_schema_that_can_not_be_read_is_told_by_file(schema_file: Path) -> None:
    schema_file.write_text("feature { nmae: 'image' }\n", "utf-8")
    with pytest.raises(SettingsError, match=r"schema\.pbtxt is not a schema: ") as raised:
        prepare("run", [1])
    assert "\n" not in str(raised.value)
