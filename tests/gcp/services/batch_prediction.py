"""Vertex AI's ``JobService``: batch predictions with the models of the registry, and custom jobs.

A batch prediction really predicts: a process of TFX's interpreter serves the model, as the service's container does.
What becomes of its instances is in ``batch_prediction_run``, what requests must be in ``batch_prediction_rules``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from google.cloud.aiplatform_v1 import types
from google.cloud.aiplatform_v1.types import JobState
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2
from google.rpc import code_pb2, status_pb2

from tests.gcp.calls import Call
from tests.gcp.service import Method, Refusal
from tests.gcp.services import batch_prediction_custom, batch_prediction_rules
from tests.gcp.services.batch_prediction_jobs import Jobs, Run
from tests.gcp.services.batch_prediction_run import DEFAULT_BATCH_SIZE, Outcome, predict
from tests.gcp.services.model_artifacts import download, split
from tests.gcp.services.model_registry import ModelRegistry
from tests.gcp.services.model_server import ModelServer, ModelServerError
from tests.gcp.services.resource_listing import Fields, filtered, page
from tests.gcp.services.scripts import Script
from tests.gcp.services.vertex_resources import canonical, check_acting_as, operation

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud

_MOST_PARTIAL_FAILURES = 20
_FIELDS: Fields = {
    "display_name": lambda job: job.display_name,
    "state": lambda job: job.state.name,
    "labels": lambda job: dict(job.labels),
    "create_time": lambda job: job.create_time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
}


class BatchPrediction:
    """``JobService``. ``script`` holds or fails its jobs: ``"Start <display name>"``, ``"Run <display name>"``."""

    name = "google.cloud.aiplatform.v1.JobService"

    def __init__(self, registry: ModelRegistry, tfx_python: Path) -> None:
        self.script = Script()
        self._registry, self._tfx_python = registry, tfx_python
        self._jobs = Jobs("batchPredictionJobs", self.script)
        self._custom = batch_prediction_custom.CustomJobs(self.script)
        t, prefix = types, "aiplatform.batchPredictionJobs."
        self.methods: Mapping[str, Method] = {
            "CreateBatchPredictionJob": Method(
                t.CreateBatchPredictionJobRequest, t.BatchPredictionJob, prefix + "create", self._create
            ),
            "GetBatchPredictionJob": Method(
                t.GetBatchPredictionJobRequest, t.BatchPredictionJob, prefix + "get", self._get
            ),
            "ListBatchPredictionJobs": Method(
                t.ListBatchPredictionJobsRequest, t.ListBatchPredictionJobsResponse, prefix + "list", self._list
            ),
            "CancelBatchPredictionJob": Method(
                t.CancelBatchPredictionJobRequest, empty_pb2.Empty, prefix + "cancel", self._cancel
            ),
            "DeleteBatchPredictionJob": Method(
                t.DeleteBatchPredictionJobRequest, operations_pb2.Operation, prefix + "delete", self._delete
            ),
            **self._custom.methods,
        }

    def attach(self, cloud: LoopbackCloud) -> None:
        self._cloud = cloud
        self._jobs.attach(cloud)
        self._custom.attach(cloud)

    def detach(self) -> None:
        self._jobs.detach()
        self._custom.detach()

    def _create(self, request: types.CreateBatchPredictionJobRequest, call: Call) -> types.BatchPredictionJob:
        job = types.BatchPredictionJob(request.batch_prediction_job)
        if not job.model:
            raise Refusal(
                grpc.StatusCode.INVALID_ARGUMENT, "Exactly one of model and unmanaged_container_model must be set."
            )
        check_acting_as(self._cloud, call, job.service_account)
        model = self._registry.find(job.model)
        inputs = batch_prediction_rules.check(self._cloud, job, model)
        base, _, version = canonical(self._cloud, job.model).partition("@")
        job.model = f"{base}@{model.version_id}" if version else base
        job.model_version_id = model.version_id
        return self._jobs.add(request.parent, job, lambda run: self._work(run, model, inputs))

    def _get(self, request: types.GetBatchPredictionJobRequest, call: Call) -> types.BatchPredictionJob:
        return self._jobs.get(request.name)

    def _list(self, request: types.ListBatchPredictionJobsRequest, call: Call) -> types.ListBatchPredictionJobsResponse:
        """The newest first; the request can ask for no other order."""
        found = filtered(self._jobs.below(request.parent), request.filter, _FIELDS)
        shown, token = page(found, request.page_size, request.page_token)
        return types.ListBatchPredictionJobsResponse(batch_prediction_jobs=shown, next_page_token=token)

    def _cancel(self, request: types.CancelBatchPredictionJobRequest, call: Call) -> empty_pb2.Empty:
        self._jobs.cancel(request.name)
        return empty_pb2.Empty()

    def _delete(self, request: types.DeleteBatchPredictionJobRequest, call: Call) -> operations_pb2.Operation:
        return operation(
            self._cloud,
            self.script,
            self._jobs.forget(request.name),
            "DeleteBatchPredictionJob",
            empty_pb2.Empty,
            types.DeleteOperationMetadata,
            empty_pb2.Empty,
        )

    def _work(self, run: Run, model: types.Model, inputs: list[str]) -> JobState:
        job: types.BatchPredictionJob = run.job
        with tempfile.TemporaryDirectory(dir=self._cloud.folder, prefix="batch-prediction-") as folder:
            download(self._cloud, model.artifact_uri, Path(folder))
            server = ModelServer(self._tfx_python, Path(folder), os.environ)
            try:
                self._jobs.on_cancel(run, server.close)
                server.wait_until_ready()

                def ask(instances: list[Any]) -> list[Any]:
                    if run.cancelled.is_set():
                        raise Refusal(grpc.StatusCode.CANCELLED, "The job was cancelled.")
                    return server.predict(instances)

                size = job.manual_batch_tuning_parameters.batch_size or DEFAULT_BATCH_SIZE
                outcome = predict(self._lines(inputs), job.instance_config, size, ask)
            except ModelServerError as error:
                raise Refusal(
                    grpc.StatusCode.FAILED_PRECONDITION, f"Model server exited unexpectedly: {error}"
                ) from error
            finally:
                server.close()
        return self._ended(run, model, outcome)

    def _lines(self, inputs: list[str]) -> list[str]:
        storage = self._cloud.storage_client()
        texts = [
            storage.bucket(bucket).blob(name).download_as_bytes().decode()
            for bucket, name in (split(uri, "input") for uri in inputs)
        ]
        return [line for text in texts for line in text.split("\n") if line.strip()]

    def _ended(self, run: Run, model: types.Model, outcome: Outcome) -> JobState:
        """Writes the files and tells how many failed; one that is cancelled by now writes none."""
        job: types.BatchPredictionJob = run.job
        bucket, prefix = split(job.output_config.gcs_destination.output_uri_prefix, "output_uri_prefix")
        created = job.create_time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        folder = "/".join([*filter(None, [prefix.rstrip("/")]), f"prediction-{model.display_name}-{created}"])
        if run.cancelled.is_set():
            return JobState.JOB_STATE_CANCELLED
        target = self._cloud.storage_client().bucket(bucket)
        for name, content in outcome.files():
            target.blob(f"{folder}/{name}").upload_from_string(content)
        with self._jobs.lock:
            job.output_info.gcs_output_directory = f"gs://{bucket}/{folder}"
            job.completion_stats.successful_count = outcome.succeeded
            job.completion_stats.failed_count = len(outcome.errors)
            job.partial_failures = [
                status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=message)
                for message in list(dict.fromkeys(outcome.messages))[:_MOST_PARTIAL_FAILURES]
            ]
        if not outcome.errors:
            return JobState.JOB_STATE_SUCCEEDED
        if outcome.succeeded:
            return JobState.JOB_STATE_PARTIALLY_SUCCEEDED
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"All instances failed: {outcome.messages[0]}")
