"""What the service is asked for, field by field, and by which names a job is found again."""

from __future__ import annotations

from typing import Any

from google.cloud.aiplatform_v1.types import BatchPredictionJob, CreateBatchPredictionJobRequest

from tests.gcp.predicting import BATCH, CREATE, LIST, Stage, prepared, stage

__all__ = ["prepared", "stage"]

KEY = "projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k"

EVERYTHING = f"""
  service_account: respan-vertex@respan-test.iam.gserviceaccount.com
  encryption_key: {KEY}
  labels: {{team: vision}}
  prediction:
    machine_type: n1-highmem-8
    accelerator_type: NVIDIA_TESLA_T4
    accelerator_count: 2
    starting_replicas: 2
    max_replicas: 7
    batch_size: 33
"""


def requested(stage: Stage, settings: str = "") -> tuple[str, CreateBatchPredictionJobRequest]:
    """The pipeline, and the one request for a job that its task makes."""
    task = stage.task(settings)
    stage.serving.batch.script.hold()
    stage.cloud.calls.clear()
    task.begin()
    (call,) = stage.cloud.calls.of(CREATE)
    request: CreateBatchPredictionJobRequest = call.request
    return task.pipeline, request


def as_dict(job: BatchPredictionJob) -> dict[str, Any]:
    """The fields that were set."""
    found: dict[str, Any] = BatchPredictionJob.to_dict(
        job, always_print_fields_with_no_presence=False, use_integers_for_enums=False, preserving_proto_field_name=True
    )
    return found


def expected(stage: Stage, pipeline: str) -> dict[str, Any]:
    name = pipeline.replace("_", "-")
    folder = f"{stage.root}/{pipeline}/batches/{BATCH}"
    return {
        "display_name": f"respan-{name}-{BATCH}-1",
        "model": f"projects/{stage.cloud.project}/locations/{stage.cloud.region}/models/respan-{name}@1",
        "input_config": {
            "instances_format": "jsonl",
            "gcs_source": {"uris": [f"{folder}/instances/1/instances-00000.jsonl"]},
        },
        "instance_config": {"instance_type": "object", "key_field": "key"},
        "output_config": {
            "predictions_format": "jsonl",
            "gcs_destination": {"output_uri_prefix": f"{folder}/predictions/1"},
        },
        "dedicated_resources": {
            "machine_spec": {"machine_type": "n1-standard-4"},
            "starting_replica_count": 1,
            "max_replica_count": 4,
        },
        "manual_batch_tuning_parameters": {"batch_size": 64},
        "labels": {"respan-pipeline": pipeline, "respan-batch": BATCH, "respan-version": "1"},
    }


def test_a_job_is_asked_for_with_the_pinned_model_the_instances_and_the_defaults(stage: Stage) -> None:
    pipeline, request = requested(stage)
    assert request.parent == f"projects/{stage.cloud.project}/locations/{stage.cloud.region}"
    job = as_dict(request.batch_prediction_job)
    name = job["model"]
    wanted = expected(stage, pipeline)
    model_id = name.rpartition("/")[2]
    assert model_id == wanted["model"].rpartition("/")[2]
    assert job == {**wanted, "model": name}


def test_every_setting_of_the_section_is_in_the_request(stage: Stage) -> None:
    pipeline, request = requested(stage, EVERYTHING)
    job = as_dict(request.batch_prediction_job)
    wanted = expected(stage, pipeline)
    assert job == {
        **wanted,
        "model": job["model"],
        "dedicated_resources": {
            "machine_spec": {
                "machine_type": "n1-highmem-8",
                "accelerator_type": "NVIDIA_TESLA_T4",
                "accelerator_count": 2,
            },
            "starting_replica_count": 2,
            "max_replica_count": 7,
        },
        "manual_batch_tuning_parameters": {"batch_size": 33},
        "labels": {**wanted["labels"], "team": "vision"},
        "service_account": "respan-vertex@respan-test.iam.gserviceaccount.com",
        "encryption_spec": {"kms_key_name": KEY},
    }


def test_jobs_are_looked_for_by_respans_own_labels(stage: Stage) -> None:
    pipeline, _ = requested(stage)
    (call,) = stage.cloud.calls.of(LIST)
    assert call.request.filter == (
        f'labels.respan-batch="{BATCH}" AND labels.respan-pipeline="{pipeline}" AND labels.respan-version="1"'
    )
