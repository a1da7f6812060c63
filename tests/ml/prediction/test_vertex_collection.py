"""What a batch prediction job on Vertex AI wrote, taken over."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from ml import layout
from ml.batches import read_manifest, read_refusals
from ml.cli import cli
from ml.errors import DataError, NotFoundError
from ml.prediction.collection import collect
from ml.prediction.documents import Predictions, read_predictions
from ml.prediction.instances import write_instances
from ml.settings_sections import DataSettings
from ml.settling import settle
from tests.ml.prediction.vertex_job import JOB, Draw, Job, fill


def test_a_job_s_predictions_are_recorded_with_their_folder_and_a_repeat_changes_nothing(
    released: Any, draw: Draw
) -> None:
    fill(released, draw, 8)
    batch = released.freeze()
    job = Job(released, batch)
    name = job.write()
    expected = Predictions(version=1, predicted=8, failed=0, folder=job.folder)
    assert collect(released.storage, released.settings, batch, 1, released.storage.uri(job.folder) + "/") == expected
    record = released.storage.stat(layout.batch(batch, layout.PREDICTIONS_RECORD))
    settle(released.storage, batch)
    assert collect(released.storage, released.settings, batch, 1, name) == expected
    assert collect(released.storage, released.settings, batch, 1) == expected
    assert released.storage.stat(layout.batch(batch, layout.PREDICTIONS_RECORD)) == record


def test_a_record_without_a_folder_is_still_read(released: Any, draw: Draw) -> None:
    fill(released, draw, 2)
    batch = released.freeze()
    old = b'{"version": 1, "predicted": 2, "failed": 0}'
    released.storage.write(layout.batch(batch, layout.PREDICTIONS_RECORD), old)
    assert read_predictions(released.storage, batch) == Predictions(version=1, predicted=2, failed=0)


def test_every_way_in_which_a_sample_fails_is_a_refusal_with_its_reason(released: Any, draw: Draw) -> None:
    fill(released, draw, 12)
    released.drop("dark/text.png", b"text")
    batch = released.freeze()
    job = Job(released, batch)
    failed = [int(line["key"]) for line in job.results[:4]]
    job.results[0] = {"key": failed[0], "error": {"code": 3, "message": "bad\n shape"}}
    del job.results[1:4]
    told = {"error": {"status": "UNAVAILABLE", "message": "no answer"}}
    job.errors = [
        json.dumps({"key": failed[1], **told}).encode() + b"\n",
        json.dumps({"instance": {"key": str(failed[2])}, **told}).encode() + b"\n",
        b"('Post request fails. Cannot get predictions.', 1)\n",
    ]
    assert collect(released.storage, released.settings, batch, 1, job.write()) == Predictions(
        version=1, predicted=8, failed=5, folder=job.folder
    )
    text = next(entry.index for entry in read_manifest(released.storage, batch) if entry.object == "dark/text.png")
    assert read_refusals(released.storage, batch) == {
        text: "wrong type: neither PNG nor JPEG by its content",
        failed[0]: "bad shape",
        failed[1]: "no answer",
        failed[2]: "no answer",
        failed[3]: "('Post request fails. Cannot get predictions.', 1)",
    }
    own = released.storage.read(layout.batch(batch, layout.PREDICTIONS)).splitlines()
    assert sorted((line["instance"]["key"], line["error"]["code"]) for line in map(json.loads, own)) == sorted(
        [(text, 3), (failed[1], 14), (failed[2], 14), (failed[3], 2)]
    )


def test_too_many_failures_of_the_job_fail_the_step_and_are_recorded(released: Any, draw: Draw) -> None:
    fill(released, draw, 8)
    batch = released.freeze()
    job = Job(released, batch)
    for line in job.results[:5]:
        line["error"] = {"code": 13, "message": "out of memory"}
        del line["prediction"]
    name = job.write()
    for _ in range(2):
        with pytest.raises(DataError, match="5 of 8 samples"):
            collect(released.storage, released.settings, batch, 1, name)
    assert set(read_refusals(released.storage, batch).values()) == {"out of memory"}


def without_one(job: Job) -> None:
    del job.results[3]


def twice(job: Job) -> None:
    job.results.append(job.results[0])


def of_no_sample(job: Job) -> None:
    job.results[0]["key"] = "99"


def with_neither(job: Job) -> None:
    del job.results[0]["prediction"]


def failed_elsewhere(job: Job) -> None:
    job.errors.append(b'{"key": 99, "error": {"code": 3, "message": "x"}}\n')


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_one, "incomplete: 1 samples have none"),
        (twice, r"line \d+: sample \d+ has a line already"),
        (of_no_sample, r"line \d+: sample 99 is not in the batch's manifest"),
        (with_neither, "neither a prediction nor an error"),
        (failed_elsewhere, "sample 99 is not in the batch's manifest"),
    ],
)
def test_results_that_do_not_fit_the_batch_are_refused_and_nothing_is_recorded(
    released: Any, draw: Draw, damage: Callable[[Job], None], message: str
) -> None:
    fill(released, draw, 8)
    batch = released.freeze()
    job = Job(released, batch)
    damage(job)
    name = job.write()
    with pytest.raises(DataError, match=message):
        collect(released.storage, released.settings, batch, 1, name)
    assert read_predictions(released.storage, batch) is None


@pytest.mark.parametrize("folder", ["predictions/2/x", "../1/x", "", "/", "..", "{root}/batches/other/predictions/1/x"])
def test_a_folder_of_another_batch_or_version_is_refused(released: Any, draw: Draw, folder: str) -> None:
    fill(released, draw, 2)
    batch = released.freeze()
    with pytest.raises(DataError, match="is no folder of a job that predicted batch"):
        collect(released.storage, released.settings, batch, 1, folder.format(root=released.storage.uri()))


def test_without_files_or_instances_or_a_folder_the_message_says_what_is_missing(released: Any, draw: Draw) -> None:
    fill(released, draw, 2)
    batch = released.freeze()
    with pytest.raises(NotFoundError, match="run `prediction write-instances`"):
        collect(released.storage, released.settings, batch, 1, JOB)
    write_instances(released.storage, released.settings, batch, 1)
    with pytest.raises(NotFoundError, match="name the job's folder"):
        collect(released.storage, released.settings, batch, 1)
    with pytest.raises(NotFoundError, match="no prediction files in"):
        collect(released.storage, released.settings, batch, 1, JOB)


def test_where_nothing_can_be_decoded_no_job_is_needed(released: Any) -> None:
    released.drop("dark/bad.png", b"bad")
    data = DataSettings(max_refused_share=1)
    released.settings = released.settings.model_copy(update={"data": data})
    batch = released.freeze()
    assert write_instances(released.storage, released.settings, batch, 1).files == []
    assert collect(released.storage, released.settings, batch, 1) == Predictions(version=1, predicted=0, failed=1)


def test_another_job_s_predictions_replace_the_first_one_s(released: Any, draw: Draw) -> None:
    fill(released, draw, 4)
    batch = released.freeze()
    collect(released.storage, released.settings, batch, 1, Job(released, batch).write())
    second = Job(released, batch, name="prediction-light-2")
    assert collect(released.storage, released.settings, batch, 1, second.write()).folder == second.folder


def test_the_commands_print_what_the_operator_needs(released_pipeline: Any, draw: Draw) -> None:
    place, storage = released_pipeline, released_pipeline.storage
    fill(place, draw, 4)
    batch = place.freeze("manual run")

    def run(*arguments: str) -> dict[str, Any]:
        line = ["prediction", *arguments, "image_classification", "manual run", "--version", "1", "--json"]
        result = CliRunner().invoke(cli, line)
        assert result.exit_code == 0, result.output
        document: dict[str, Any] = json.loads(result.output.splitlines()[-1])
        return document

    output = storage.uri(layout.batch(batch, "predictions/1"))
    told = {"batch": batch, "version": 1, "output": output}
    files = [storage.uri(layout.batch(batch, "instances/1/instances-00000.jsonl"))]
    assert run("write-instances") == {**told, "samples": 4, "instances": files, "finished": False}
    folder = f"{output}/{Job(place, batch).write()}"
    expected = {"batch": batch, "version": 1, "predicted": 4, "failed": 0, "predictions": folder}
    assert run("collect", "--folder", folder) == expected
    assert run("write-instances") == {**told, "samples": 0, "instances": [], "finished": True}
    assert run("collect") == expected
