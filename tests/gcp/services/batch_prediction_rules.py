"""What a request for a batch prediction must be: from the documentation of ``BatchPredictionJob`` and its parts."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import grpc
from google.cloud.aiplatform_v1 import types

from tests.gcp.service import Refusal
from tests.gcp.services.model_artifacts import split
from tests.gcp.services.vertex_resources import invalid

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud

_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,64}")


def check(cloud: LoopbackCloud, job: types.BatchPredictionJob, model: types.Model) -> list[str]:
    """The URIs of the inputs, wildcards resolved. Raises Refusal."""
    if len(job.display_name) > 128:
        raise invalid("batch_prediction_job.display_name must have at most 128 characters.")
    check_labels(dict(job.labels))
    _check_formats(job, model)
    _check_instance_config(job.instance_config)
    _check_resources(job)
    destination = job.output_config.gcs_destination.output_uri_prefix
    bucket, _ = split(destination, "output_config.gcs_destination.output_uri_prefix")
    if not cloud.storage_client().bucket(bucket).exists():
        raise invalid(f"The bucket of output_uri_prefix {destination!r} does not exist.")
    return [found for uri in job.input_config.gcs_source.uris for found in _inputs(cloud, uri)]


def check_labels(labels: dict[str, str]) -> None:
    """Raises Refusal for a label that Google Cloud doesn't take."""
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise invalid(f"Invalid label {key!r}: {value!r}: lower-case letters, digits, - and _, at most 64.")


def _check_formats(job: types.BatchPredictionJob, model: types.Model) -> None:
    if "gcs_source" not in job.input_config:
        raise invalid("batch_prediction_job.input_config.gcs_source is required.")
    if "gcs_destination" not in job.output_config:
        raise invalid("batch_prediction_job.output_config.gcs_destination is required.")
    given = (
        ("instances_format", job.input_config.instances_format, model.supported_input_storage_formats),
        ("predictions_format", job.output_config.predictions_format, model.supported_output_storage_formats),
    )
    for name, value, supported in given:
        if value not in supported:
            raise invalid(f"{name} {value!r} is not supported by the Model: it supports {', '.join(supported)}.")
        if value != "jsonl":
            raise Refusal(grpc.StatusCode.UNIMPLEMENTED, f"This double knows {name} jsonl only, not {value}.")


def _check_instance_config(config: types.BatchPredictionJob.InstanceConfig) -> None:
    if config.included_fields and config.excluded_fields:
        raise invalid("When included_fields is populated, excluded_fields must be empty.")
    if config.instance_type not in ("", "object", "array"):
        raise invalid(f"instance_type {config.instance_type!r} is neither 'object' nor 'array'.")
    if config.key_field and config.key_field in config.included_fields:
        raise invalid(f"key_field {config.key_field!r} must not be in included_fields.")


def _check_resources(job: types.BatchPredictionJob) -> None:
    if "dedicated_resources" not in job:
        raise invalid("The Model doesn't support AUTOMATIC_RESOURCES: dedicated_resources must be provided.")
    resources = job.dedicated_resources
    machine = resources.machine_spec
    if not machine.machine_type:
        raise invalid("dedicated_resources.machine_spec.machine_type is required.")
    if bool(machine.accelerator_type) != bool(machine.accelerator_count):
        raise invalid("accelerator_type and accelerator_count of a machine_spec go together.")
    if resources.starting_replica_count > (resources.max_replica_count or 10):
        raise invalid("starting_replica_count must not be greater than max_replica_count.")
    if job.manual_batch_tuning_parameters.batch_size < 0:
        raise invalid("manual_batch_tuning_parameters.batch_size must be positive.")


def _inputs(cloud: LoopbackCloud, uri: str) -> list[str]:
    """The objects of ``uri``, which may have wildcards: ``GcsSource.uris``."""
    bucket, name = split(uri, "input_config.gcs_source.uris")
    storage = cloud.storage_client()
    if "*" in name:
        prefix = name.partition("*")[0]
        found = [blob.name for blob in storage.list_blobs(bucket, prefix=prefix) if fnmatchcase(blob.name, name)]
    else:
        found = [name] if storage.bucket(bucket).blob(name).exists() else []
    if not found:
        raise invalid(f"There are no files under {uri!r}: input_config.gcs_source.uris must name what exists.")
    return [f"gs://{bucket}/{one}" for one in found]
