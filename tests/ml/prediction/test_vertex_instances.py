"""A batch on its way to a batch prediction job on Vertex AI: what the job reads."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from ml import layout
from ml.batches import read_manifest, read_refusals
from ml.errors import ConflictError, DataError, NotFoundError
from ml.prediction import instances
from ml.prediction.batch import predict
from ml.prediction.collection import collect
from ml.prediction.instances import write_instances
from ml.settings_sections import DataSettings
from ml.settling import settle
from tests.ml.prediction.vertex_job import Draw, Job, fill, given


def test_each_sound_sample_has_a_line_with_its_key_and_its_bytes(released: Any, draw: Draw) -> None:
    fill(released, draw, 30)
    batch = released.freeze()
    made = write_instances(released.storage, released.settings, batch, 1)
    assert (made.samples, made.refused, len(made.files)) == (30, 0, 1)
    lines = given(released.storage, batch, made.files)
    for entry, line in zip(read_manifest(released.storage, batch), lines, strict=True):
        assert line.keys() == {"key", "image_bytes"}
        assert line["key"] == entry.index
        assert base64.b64decode(line["image_bytes"]["b64"]) == (released.folder / entry.object).read_bytes()


def test_a_file_has_no_more_than_its_size(released: Any, draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.prediction.samples._LOT", 4)
    fill(released, draw, 40)
    batch = released.freeze()
    made = write_instances(released.storage, released.settings, batch, 1, file_bytes=2_000)
    folder = layout.batch(batch, "instances/1")
    assert len(made.files) > 3
    assert all(0 < released.storage.stat(f"{folder}/{name}").size <= 2_000 for name in made.files)
    assert [line["key"] for line in given(released.storage, batch, made.files)] == list(range(40))


def test_what_the_local_target_refuses_gets_no_line(released: Any, draw: Draw) -> None:
    fill(released, draw, 20)
    for name, content in {"cut.png": draw(5)[:40], "text.png": b"text", "empty.png": b""}.items():
        released.drop(f"dark/{name}", content)
    released.drop("dark/large.png", draw(3, side=100))
    data = DataSettings(max_sample_pixels=9_999, max_refused_share=0.5)
    released.settings = released.settings.model_copy(update={"data": data})
    batch = released.freeze()
    (released.folder / "bright/0.png").unlink()
    made = write_instances(released.storage, released.settings, batch, 1)
    job = Job(released, batch)
    assert collect(released.storage, released.settings, batch, 1, job.write()).failed == made.refused
    collected = released.storage.read(layout.batch(batch, layout.PREDICTIONS))
    refused = read_refusals(released.storage, batch)
    released.storage.delete(layout.batch(batch, layout.PREDICTIONS_RECORD))
    local = predict(released.storage, released.settings, batch)
    errors = [
        line
        for line in released.storage.read(layout.batch(batch, layout.PREDICTIONS)).splitlines(keepends=True)
        if b'"error"' in line
    ]
    assert (local.failed, b"".join(errors)) == (made.refused, collected)
    assert read_refusals(released.storage, batch) == refused


def test_a_repeat_finds_the_instances_and_one_after_a_crash_writes_them_again(
    released: Any, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(released, draw, 6)
    batch = released.freeze()
    file = layout.batch(batch, "instances/1/instances-00000.jsonl")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as crash:
        crash.setattr(instances, "write_instances_record", die)
        with pytest.raises(KeyboardInterrupt):
            write_instances(released.storage, released.settings, batch, 1)
    released.storage.write(file, b"half a li")
    made = write_instances(released.storage, released.settings, batch, 1)
    assert [line["key"] for line in given(released.storage, batch, made.files)] == list(range(6))
    before = released.storage.stat(file)
    assert write_instances(released.storage, released.settings, batch, 1) == made
    assert released.storage.stat(file) == before


def test_too_many_undecodable_samples_fail_the_step_before_any_job(released: Any, draw: Draw) -> None:
    fill(released, draw, 2)
    for number in range(3):
        released.drop(f"dark/bad{number}.png", b"bad")
    batch = released.freeze()
    for _ in range(2):
        with pytest.raises(DataError, match="3 of 5 samples"):
            write_instances(released.storage, released.settings, batch, 1)
    assert len(read_refusals(released.storage, batch)) == 3  # so that they can be put into quarantine


def test_neither_an_unknown_version_nor_a_closed_batch_is_prepared(released: Any, draw: Draw) -> None:
    fill(released, draw, 2)
    batch = released.freeze()
    with pytest.raises(NotFoundError, match="no release 7 "):
        write_instances(released.storage, released.settings, batch, 7)
    settle(released.storage, batch)
    with pytest.raises(ConflictError, match="is archived"):
        write_instances(released.storage, released.settings, batch, 1)
