from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from ml import layout
from ml.batches import read_manifest, read_refusals
from ml.cli import cli
from ml.errors import ConflictError, DataError, NotFoundError
from ml.prediction.batch import predict
from ml.prediction.documents import Predictions, read_predictions
from ml.settings_sections import DataSettings
from ml.settling import settle

Draw = Callable[..., bytes]


def lines(place: Any, batch: str) -> list[dict[str, Any]]:
    text = place.storage.read(layout.batch(batch, layout.PREDICTIONS)).decode()
    return [json.loads(line) for line in text.splitlines()]


def fill(place: Any, draw: Draw, count: int) -> None:
    for number in range(count):
        bright = number % 2 == 0
        place.drop(f"{'bright' if bright else 'dark'}/{number}.png", draw(250 - number % 50 if bright else number % 50))


def test_each_sample_has_a_line_in_the_manifests_order_with_label_and_probabilities(released: Any, draw: Draw) -> None:
    fill(released, draw, 30)
    released.drop("dark/photo.jpg", draw(10, side=31, kind="JPEG"))
    batch = released.freeze()
    assert predict(released.storage, released.settings, batch) == Predictions(version=1, predicted=31, failed=0)
    entries = list(read_manifest(released.storage, batch))
    found = lines(released, batch)
    assert [line["instance"] for line in found] == [
        {"key": entry.index, "object": entry.object, "generation": entry.generation} for entry in entries
    ]
    assert [line["prediction"]["label"] for line in found] == [entry.label for entry in entries]
    assert all(abs(sum(line["prediction"]["probabilities"]) - 1) < 1e-5 for line in found)
    assert all(line.keys() == {"instance", "prediction"} for line in found)


def test_a_bad_sample_is_a_line_with_its_error_and_costs_the_others_nothing(released: Any, draw: Draw) -> None:
    fill(released, draw, 300)  # more than one call of the model
    for number in (3, 99):
        released.drop(f"dark/bad{number}.png", draw(5)[:40])
    released.drop("dark/text.png", b"text")
    batch = released.freeze()
    gone, replaced = released.folder / "bright/0.png", released.folder / "bright/2.png"
    gone.unlink()
    replaced.write_bytes(draw(77))
    assert predict(released.storage, released.settings, batch) == Predictions(version=1, predicted=298, failed=5)
    failed = {line["instance"]["object"]: line["error"] for line in lines(released, batch) if "error" in line}
    assert failed == {
        "dark/bad3.png": {"code": 3, "message": "can't be decoded: truncated PNG file"},
        "dark/bad99.png": {"code": 3, "message": "can't be decoded: truncated PNG file"},
        "dark/text.png": {"code": 3, "message": "wrong type: neither PNG nor JPEG by its content"},
        "bright/0.png": {"code": 5, "message": "vanished after the batch was frozen"},
        "bright/2.png": {"code": 5, "message": "was replaced after the batch was frozen"},
    }
    right = [
        line["prediction"]["label"] == line["instance"]["object"].split("/")[0]
        for line in lines(released, batch)
        if "prediction" in line
    ]
    assert len(right) == 298
    assert all(right)
    assert sorted(read_refusals(released.storage, batch).values()) == sorted(e["message"] for e in failed.values())


def test_samples_refused_at_the_freeze_have_no_line(released: Any, draw: Draw) -> None:
    fill(released, draw, 4)
    released.drop("stray.png", draw(1))
    batch = released.freeze()
    assert predict(released.storage, released.settings, batch).predicted == 4
    assert len(lines(released, batch)) == 4


def test_a_picture_of_too_many_pixels_never_reaches_the_model(released: Any, draw: Draw) -> None:
    fill(released, draw, 4)
    released.drop("dark/large.png", draw(3, side=100))
    data = DataSettings(max_sample_pixels=9_999, max_refused_share=0.5)
    batch = released.freeze()
    made = predict(released.storage, released.settings.model_copy(update={"data": data}), batch)
    assert made.failed == 1
    assert list(read_refusals(released.storage, batch).values()) == ["too many pixels: 100 × 100, allowed are 9999"]


def test_too_many_failures_fail_the_step_and_leave_the_lines_to_look_at(released: Any, draw: Draw) -> None:
    fill(released, draw, 2)
    for number in range(3):
        released.drop(f"dark/bad{number}.png", b"bad")
    batch = released.freeze()
    for _ in range(2):  # a repeat says the same
        with pytest.raises(DataError, match="3 of 5 samples"):
            predict(released.storage, released.settings, batch)
    assert len(lines(released, batch)) == 5


def test_a_repeat_finds_the_predictions_and_writes_nothing(released: Any, draw: Draw) -> None:
    fill(released, draw, 6)
    batch = released.freeze()
    first = predict(released.storage, released.settings, batch)
    before = released.storage.stat(layout.batch(batch, layout.PREDICTIONS))
    settle(released.storage, batch)
    assert predict(released.storage, released.settings, batch) == first
    assert released.storage.stat(layout.batch(batch, layout.PREDICTIONS)) == before


def test_predictions_without_their_record_are_made_again(released: Any, draw: Draw) -> None:
    fill(released, draw, 6)
    batch = released.freeze()
    predict(released.storage, released.settings, batch)
    released.storage.delete(layout.batch(batch, layout.PREDICTIONS_RECORD))
    released.storage.write(layout.batch(batch, layout.PREDICTIONS), b"left by a crash")
    assert predict(released.storage, released.settings, batch).predicted == 6
    assert len(lines(released, batch)) == 6


def test_the_release_that_serves_is_asked_and_not_the_newest(released: Any, draw: Draw) -> None:
    released.release(2)
    fill(released, draw, 6)
    batch = released.freeze()
    assert predict(released.storage, released.settings, batch).version == 1


def test_another_version_replaces_the_predictions(released: Any, draw: Draw) -> None:
    released.release(2)
    fill(released, draw, 6)
    batch = released.freeze()
    predict(released.storage, released.settings, batch)
    one = [line["prediction"]["label"] for line in lines(released, batch)]
    assert predict(released.storage, released.settings, batch, 2).version == 2
    assert [line["prediction"]["label"] for line in lines(released, batch)] == [
        {"dark": "bright", "bright": "dark"}[label] for label in one
    ]
    assert read_predictions(released.storage, batch) == Predictions(version=2, predicted=6, failed=0)


def test_without_a_release_the_message_says_what_to_do(unreleased: Any, draw: Draw) -> None:
    fill(unreleased, draw, 2)
    with pytest.raises(NotFoundError, match="no release yet: make a span, then run"):
        predict(unreleased.storage, unreleased.settings, unreleased.freeze())


def test_an_unknown_version_is_not_found(released: Any, draw: Draw) -> None:
    fill(released, draw, 2)
    with pytest.raises(NotFoundError, match="no release 7 "):
        predict(released.storage, released.settings, released.freeze(), 7)


def test_a_batch_without_a_usable_sample_is_unusable_data(released: Any, draw: Draw) -> None:
    released.drop("stray.png", draw(1))
    data = DataSettings(max_refused_share=1)
    released.settings = released.settings.model_copy(update={"data": data})
    with pytest.raises(DataError, match="no usable sample"):
        predict(released.storage, released.settings, released.freeze())


def test_a_closed_batch_is_not_predicted_any_more(released: Any, draw: Draw) -> None:
    fill(released, draw, 2)
    batch = released.freeze()
    settle(released.storage, batch)
    with pytest.raises(ConflictError, match="is archived"):
        predict(released.storage, released.settings, batch)


def test_the_command_prints_one_json_line_on_standard_output(released_pipeline: Any, draw: Draw) -> None:
    fill(released_pipeline, draw, 4)
    batch = released_pipeline.freeze("manual run")
    result = CliRunner().invoke(cli, ["predict", "image_classification", "manual run", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.output.splitlines()[-1])
    assert document == {
        "batch": batch,
        "version": 1,
        "predicted": 4,
        "failed": 0,
        "predictions": released_pipeline.storage.uri(layout.batch(batch, layout.PREDICTIONS)),
    }
