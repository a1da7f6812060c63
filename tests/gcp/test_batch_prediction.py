"""The double of batch prediction: what jobs are taken, that they really predict, and how they end."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.api_core.exceptions import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from google.cloud import aiplatform_v1 as vertex
from google.cloud.aiplatform_v1.types import JobState

from tests.gcp.services.scripts import preempted
from tests.gcp.serving_place import ENDED, Place, until

pytest_plugins = ("tests.gcp.serving_fixtures",)


@pytest.fixture
def model(place: Place) -> str:
    """A model without content, for jobs that never load it."""
    return str(place.upload(place.put_model(None), model_id="words").model)


@pytest.fixture
def words(place: Place, saved_models: dict[int, Path]) -> str:
    """A model of two versions that really predict: sizes, and ten times the sizes."""
    name = str(place.upload(place.put_model(saved_models[1], "models/1"), model_id="words").model)
    place.upload(place.put_model(saved_models[10], "models/10"), parent_model=name)
    return name


def line(key: Any, text: str, **more: Any) -> str:
    return json.dumps({"key": key, "text_bytes": {"b64": base64.b64encode(text.encode()).decode()}, **more})


def a_job(place: Place, pinned: str, *lines: str, **fields: Any) -> vertex.BatchPredictionJob:
    """A job for ``lines``, with ``key`` as the key field. ``fields`` replace its own."""
    own = {
        "display_name": "words",
        "model": pinned,
        "input_config": {
            "instances_format": "jsonl",
            "gcs_source": {"uris": [place.put("instances.jsonl", "\n".join(lines or [line(0, "a")]))]},
        },
        "output_config": {
            "predictions_format": "jsonl",
            "gcs_destination": {"output_uri_prefix": f"gs://{place.cloud.bucket}/out"},
        },
        "instance_config": {"key_field": "key"},
        "dedicated_resources": {"machine_spec": {"machine_type": "n1-standard-4"}, "starting_replica_count": 1},
    }
    return vertex.BatchPredictionJob({**own, **fields})


def submit(place: Place, job: vertex.BatchPredictionJob) -> vertex.BatchPredictionJob:
    return place.jobs.create_batch_prediction_job(parent=place.parent, batch_prediction_job=job)


def finished(place: Place, job: vertex.BatchPredictionJob) -> vertex.BatchPredictionJob:
    client = place.jobs
    return until(lambda: client.get_batch_prediction_job(name=job.name), *ENDED)


def written(place: Place, job: vertex.BatchPredictionJob, kind: str) -> list[dict[str, Any]]:
    """The documents in a job's files of ``kind``: ``results`` or ``errors_stats``."""
    prefix = job.output_info.gcs_output_directory.removeprefix(f"gs://{place.cloud.bucket}/") + f"/prediction.{kind}-"
    blobs = list(place.cloud.storage_client().list_blobs(place.cloud.bucket, prefix=prefix))
    assert [blob.name.removeprefix(prefix) for blob in blobs] == [
        f"{number:05d}-of-{len(blobs):05d}" for number in range(len(blobs))
    ]
    return [json.loads(text) for blob in blobs for text in blob.download_as_text().splitlines()]


def model_servers(place: Place) -> list[psutil.Process]:
    """The processes of this cloud's model servers."""
    folder = str(place.cloud.folder)
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile, also if nobody waited for it yet
            words = child.cmdline()
            if any(word.endswith("model_server_process.py") for word in words) and words[-1].startswith(folder):
                found.append(child)
    return found


def test_each_version_predicts_and_the_key_stands_for_the_instance(place: Place, words: str) -> None:
    texts = [line(number, "x" * (number + 1)) for number in range(5)]
    tuning = {"manual_batch_tuning_parameters": {"batch_size": 2}}
    started = [submit(place, a_job(place, words + at, *texts, **tuning)) for at in ("@1", "@2")]
    for job, factor in zip([finished(place, job) for job in started], (1, 10), strict=True):
        assert job.state == JobState.JOB_STATE_SUCCEEDED
        assert job.model_version_id == {1: "1", 10: "2"}[factor]
        assert (job.completion_stats.successful_count, job.completion_stats.failed_count) == (5, 0)
        assert job.create_time <= job.start_time <= job.end_time
        results = sorted(written(place, job, "results"), key=lambda result: result["key"])
        assert [set(result) for result in results] == [{"key", "prediction"}] * 5
        assert [result["prediction"]["size"] for result in results] == [(key + 1) * factor for key in range(5)]
        assert written(place, job, "errors_stats") == []
        created = job.create_time.strftime("%Y-%m-%dT%H:%M:%S")
        assert job.output_info.gcs_output_directory.startswith(f"gs://respan-test/out/prediction-words-{created}.")
    assert model_servers(place) == []


def test_what_the_model_refuses_is_an_error_and_the_rest_of_its_batch_is_not(place: Place, words: str) -> None:
    wrong = json.dumps({"key": 3, "other": 1})
    job = finished(place, submit(place, a_job(place, words, line(0, "ab"), line(1, ""), "{", wrong, line(4, "c"))))
    assert job.state == JobState.JOB_STATE_PARTIALLY_SUCCEEDED
    assert (job.completion_stats.successful_count, job.completion_stats.failed_count) == (2, 3)
    assert {result["key"] for result in written(place, job, "results")} == {0, 4}
    errors = written(place, job, "errors_stats")
    assert [error.get("key", error.get("instance")) for error in errors] == ["{", 1, 3]
    assert [set(error["error"]) for error in errors] == [{"code", "message"}] * 3
    assert "an empty text" in errors[1]["error"]["message"]
    assert len(job.partial_failures) == 3


def test_a_job_all_of_whose_instances_fail_has_failed(place: Place, words: str) -> None:
    job = finished(place, submit(place, a_job(place, words, line(0, ""), line(1, ""))))
    assert job.state == JobState.JOB_STATE_FAILED
    assert "an empty text" in job.error.message
    assert job.completion_stats.failed_count == 2


def test_without_a_key_the_output_has_the_instance_with_what_was_excluded(place: Place, words: str) -> None:
    config: dict[str, Any] = {"excluded_fields": ["key", "note"]}
    job = finished(place, submit(place, a_job(place, words, line(0, "abc", note="n"), instance_config=config)))
    (result,) = written(place, job, "results")
    assert result["instance"] == json.loads(line(0, "abc", note="n"))
    assert result["prediction"]["size"] == 3
    config = {"key_field": "key", "included_fields": ["text_bytes"]}
    job = finished(place, submit(place, a_job(place, words, line("k", "abc", note="n"), instance_config=config)))
    (result,) = written(place, job, "results")
    assert (result["key"], result["prediction"]["size"]) == ("k", 3)


def test_inputs_may_have_wildcards(place: Place, words: str) -> None:
    for number in range(2):
        place.put(f"shards/{number}.jsonl", line(number, "a") + "\n")
    source = {"instances_format": "jsonl", "gcs_source": {"uris": [f"gs://{place.cloud.bucket}/shards/*.jsonl"]}}
    job = finished(place, submit(place, a_job(place, words, input_config=source)))
    assert {result["key"] for result in written(place, job, "results")} == {0, 1}


def test_a_model_that_can_not_be_loaded_fails_the_job(place: Place, model: str) -> None:
    job = finished(place, submit(place, a_job(place, model)))
    assert job.state == JobState.JOB_STATE_FAILED
    assert "Model server exited unexpectedly" in job.error.message
    assert not job.output_info.gcs_output_directory


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"display_name": ""}, "display_name"),
        ({"model": ""}, "Exactly one of model"),
        ({"labels": {"Upper": "x"}}, "label"),
        ({"dedicated_resources": None}, "dedicated_resources must be provided"),
        ({"dedicated_resources": {"machine_spec": {"accelerator_count": 1}}}, "machine_type"),
        ({"instance_config": {"included_fields": ["a"], "excluded_fields": ["b"]}}, "excluded_fields must be empty"),
        ({"instance_config": {"instance_type": "text"}}, "instance_type"),
        ({"input_config": {"instances_format": "jsonl", "gcs_source": {"uris": ["gs://respan-test/no"]}}}, "no files"),
        ({"input_config": {"instances_format": "parquet", "gcs_source": {"uris": ["gs://respan-test/no"]}}}, "format"),
        (
            {"output_config": {"predictions_format": "jsonl", "gcs_destination": {"output_uri_prefix": "/a/folder"}}},
            "output_uri_prefix",
        ),
        (
            {"output_config": {"predictions_format": "jsonl", "gcs_destination": {"output_uri_prefix": "gs://none/a"}}},
            "does not exist",
        ),
    ],
)
def test_a_job_that_can_not_be_is_refused(place: Place, model: str, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        submit(place, a_job(place, model, **wrong))
    assert list(place.jobs.list_batch_prediction_jobs(parent=place.parent)) == []


def test_a_version_that_is_not_there_is_refused(place: Place, model: str) -> None:
    with pytest.raises(NotFound):
        submit(place, a_job(place, f"{model}@2"))


def test_jobs_are_found_by_label_and_state_the_newest_first(place: Place, model: str) -> None:
    place.serving.batch.script.hold("Start *")
    names = [submit(place, a_job(place, model, labels={"respan-batch": batch})).name for batch in ("a", "b", "a")]

    def listed(expression: str) -> list[str]:
        request = {"parent": place.parent, "filter": expression, "page_size": 1}
        return [job.name for job in place.jobs.list_batch_prediction_jobs(request=request)]

    assert listed('labels.respan-batch="a"') == [names[2], names[0]]
    place.jobs.cancel_batch_prediction_job(name=names[2])
    until(lambda: place.jobs.get_batch_prediction_job(name=names[2]), "CANCELLED")
    assert listed('labels.respan-batch="a" AND state!="JOB_STATE_CANCELLED"') == [names[0]]
    assert listed('state="JOB_STATE_CANCELLED"') == [names[2]]


def test_a_test_may_hold_a_job_in_its_states_and_let_it_fail(place: Place, model: str) -> None:
    script = place.serving.batch.script
    script.hold("Start *")
    script.hold("Run *")
    script.fail("Run words", preempted())
    job = submit(place, a_job(place, model))
    assert job.state == JobState.JOB_STATE_QUEUED
    until(lambda: place.jobs.get_batch_prediction_job(name=job.name), "PENDING")
    script.release("Start *")
    running = until(lambda: place.jobs.get_batch_prediction_job(name=job.name), "RUNNING")
    assert running.start_time is not None
    assert running.end_time is None
    with pytest.raises(FailedPrecondition):
        place.jobs.delete_batch_prediction_job(name=job.name)
    script.release()
    failed = finished(place, job)
    assert failed.state == JobState.JOB_STATE_FAILED
    assert "preempted" in failed.error.message
    with pytest.raises(FailedPrecondition):
        place.jobs.cancel_batch_prediction_job(name=job.name)
    place.jobs.delete_batch_prediction_job(name=job.name).result(timeout=60)
    with pytest.raises(NotFound):
        place.jobs.get_batch_prediction_job(name=job.name)


@pytest.mark.parametrize("end", ["cancel", "cloud"])
def test_a_cancelled_job_and_a_closed_cloud_end_the_model_server(place: Place, words: str, end: str) -> None:
    job = submit(place, a_job(place, words, *(line(number, "x") for number in range(2000))))
    deadline = time.monotonic() + 60
    while not model_servers(place):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    servers = model_servers(place)
    if end == "cancel":
        place.jobs.cancel_batch_prediction_job(name=job.name)
        job = finished(place, job)
        assert job.state == JobState.JOB_STATE_CANCELLED
        assert job.error.code == 0
    else:
        place.serving.batch.detach()
    assert [server for server in servers if server.is_running()] == []


@pytest.mark.parametrize("permission", ["create", "get", "list", "cancel", "delete"])
def test_each_call_needs_its_permission(place: Place, model: str, permission: str) -> None:
    place.serving.batch.script.hold()
    name = submit(place, a_job(place, model)).name
    place.cloud.permissions.deny(place.cloud.airflow_principal, f"aiplatform.batchPredictionJobs.{permission}")
    acts = {
        "create": lambda: submit(place, a_job(place, model)),
        "get": lambda: place.jobs.get_batch_prediction_job(name=name),
        "list": lambda: place.jobs.list_batch_prediction_jobs(parent=place.parent),
        "cancel": lambda: place.jobs.cancel_batch_prediction_job(name=name),
        "delete": lambda: place.jobs.delete_batch_prediction_job(name=name),
    }
    with pytest.raises(PermissionDenied, match=f"batchPredictionJobs.{permission}"):
        acts[permission]()


def test_who_predicts_as_an_account_must_be_allowed_to(place: Place, model: str) -> None:
    place.cloud.permissions.deny(place.cloud.airflow_principal, "iam.serviceAccounts.actAs")
    with pytest.raises(PermissionDenied, match="act as service_account: somebody"):
        submit(place, a_job(place, model, service_account="somebody"))
