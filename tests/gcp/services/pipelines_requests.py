"""What PipelineService refuses of a pipeline job before it takes it.

Formats are from the documentation of ``google.cloud.aiplatform_v1.types.PipelineJob`` and of the client's
``PipelineJob``; the spec's from https://github.com/kubeflow/pipelines/blob/master/api/v2alpha1/pipeline_spec.proto.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from google.cloud import aiplatform_v1
from google.protobuf import json_format

from tests.gcp.services.vertex_resources import invalid

ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_ACCOUNT = re.compile(r"[a-z0-9-]+@[a-z0-9-]+(\.[a-z0-9-]+)*\.gserviceaccount\.com")
_NETWORK = re.compile(r"projects/[0-9]+/global/networks/[a-z]([-a-z0-9]*[a-z0-9])?")
_KEY = re.compile(r"projects/[^/]+/locations/([^/]+)/keyRings/[^/]+/cryptoKeys/[^/]+")
_BUCKET_PATH = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/.*)?")
_IMAGE = re.compile(r"[a-z0-9]([a-z0-9._:/-]*[a-z0-9])?(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?")

_TYPES: dict[str, type | tuple[type, ...]] = {
    "STRING": str,
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": bool,
    "LIST": list,
    "STRUCT": dict,
}


def spec_of(job: aiplatform_v1.PipelineJob) -> dict[str, Any]:
    """The job's pipeline spec as JSON."""
    spec: dict[str, Any] = json_format.MessageToDict(type(job).pb(job).pipeline_spec)
    return spec


def check_job(job: aiplatform_v1.PipelineJob, job_id: str, region: str) -> None:
    """Raises ``Refusal`` for a job that the service would not take; ``region``: where it would be."""
    if job_id and not ID.fullmatch(job_id):
        raise invalid(f"User-specified resource ID must match the regular expression '{ID.pattern}': {job_id}")
    if len(job.display_name) > 128:
        raise invalid("The display name of the pipeline job can be up to 128 characters long.")
    for key, value in job.labels.items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise invalid(f"Label '{key}: {value}' is invalid: keys and values may have 63 characters of [a-z0-9_-].")
    if len(job.labels) > 64:
        raise invalid("A resource can have at most 64 labels.")
    if job.service_account and not _ACCOUNT.fullmatch(job.service_account):
        raise invalid(f"Invalid service account: {job.service_account}")
    if job.network and not _NETWORK.fullmatch(job.network):
        raise invalid(
            f"Invalid network: {job.network}. Expected projects/{{project_number}}/global/networks/{{network}}."
        )
    if job.reserved_ip_ranges and not job.network:
        raise invalid("reserved_ip_ranges needs a network.")
    key = job.encryption_spec.kms_key_name
    if key and ((found := _KEY.fullmatch(key)) is None or found[1] != region):
        raise invalid(f"Invalid KMS key name: {key}. It must be a key in location {region}.")
    if not _BUCKET_PATH.fullmatch(job.runtime_config.gcs_output_directory):
        raise invalid(
            f"runtime_config.gcs_output_directory must be a path in Cloud Storage, gs://<bucket>/…: "
            f"'{job.runtime_config.gcs_output_directory}'"
        )


def check_spec(spec: Mapping[str, Any]) -> None:
    """Raises ``Refusal`` for a spec that the service can't read."""
    if not spec:
        raise invalid("Either pipeline_spec or template_uri must be set.")
    for key, inside in (("pipelineInfo", "name"), ("deploymentSpec", "executors"), ("root", "dag")):
        if inside not in spec.get(key, {}):
            raise invalid(f"Invalid pipeline spec: {key}.{inside} is missing.")
    if spec.get("schemaVersion") != "2.1.0":
        raise invalid(f"Unsupported schema version of the pipeline spec: {spec.get('schemaVersion')}.")
    if not ID.fullmatch(spec["pipelineInfo"]["name"]):
        raise invalid(f"Invalid pipeline name: {spec['pipelineInfo']['name']}. It must match '{ID.pattern}'.")
    for label, executor in spec["deploymentSpec"]["executors"].items():
        kinds = {"container", "resolver", "importer"} & set(executor)
        if len(kinds) != 1:
            raise invalid(f"Executor '{label}' has no container, resolver or importer that can run.")
        if "container" in kinds:
            _check_container(label, executor["container"])


def _check_container(label: str, container: Mapping[str, Any]) -> None:
    if not _IMAGE.fullmatch(container.get("image", "")):
        raise invalid(f"Executor '{label}': invalid image URI '{container.get('image', '')}'.")
    resources = container.get("resources", {})
    for key in ("cpuLimit", "memoryLimit"):
        if key in resources and not (isinstance(resources[key], (int, float)) and resources[key] > 0):
            raise invalid(f"Executor '{label}': {key} must be a positive number.")
    accelerator = resources.get("accelerator")
    if accelerator is not None and accelerator.get("type") not in aiplatform_v1.AcceleratorType.__members__:
        raise invalid(f"Executor '{label}': unknown accelerator type '{accelerator.get('type')}'.")
    if accelerator is not None and int(accelerator.get("count", 0)) < 1:
        raise invalid(f"Executor '{label}': the number of accelerators must be positive.")


def parameters_of(job: aiplatform_v1.PipelineJob, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the pipeline's parameters: given, or by default. Raises ``Refusal`` for those that don't fit."""
    config = type(job).pb(job).runtime_config
    if config.parameters:
        raise invalid("runtime_config.parameters is for schema version 2.0.0: use runtime_config.parameter_values.")
    given = {key: json_format.MessageToDict(value) for key, value in config.parameter_values.items()}
    known = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise invalid(f"The pipeline has no such input parameters: {', '.join(unknown)}.")
    values = {}
    for key, declared in known.items():
        if key in given:
            values[key] = given[key]
            _check_type(key, given[key], declared.get("parameterType", ""))
        elif "defaultValue" in declared:
            values[key] = declared["defaultValue"]
        elif not declared.get("isOptional"):
            raise invalid(f"Required input parameter '{key}' of the pipeline has no value.")
    return values


def _check_type(key: str, value: Any, wanted: str) -> None:
    fits = isinstance(value, _TYPES.get(wanted, object))
    if wanted.startswith("NUMBER"):
        fits = fits and not isinstance(value, bool) and (wanted == "NUMBER_DOUBLE" or float(value).is_integer())
    if not fits:
        raise invalid(f"Input parameter '{key}' must be of type {wanted}.")
