"""Batch prediction jobs of Vertex AI: what is asked for, how a job is found again, and what its end means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.types import TaskInstanceKey

from ml.errors import ConflictError, RemoteError, RespanError
from ml.settings import Settings
from ml.vertex_records import RegisteredModel
from ml.vertex_settings import LABEL_PREFIX
from respan.vertex.console import ResourceName
from respan.vertex.failures import google_errors, told
from respan.vertex.names import labels, resource_id
from respan.vertex.operations import CALL_SECONDS
from respan.vertex.place import Place

SUCCEEDED = frozenset({"JOB_STATE_SUCCEEDED", "JOB_STATE_PARTIALLY_SUCCEEDED"})
FAILED = frozenset({"JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED"})
#: A paused job is none of them: somebody may resume it.
ENDED = SUCCEEDED | FAILED
CANCELLED = "JOB_STATE_CANCELLED"
#: States of which nothing good can come any more.
_HOPELESS = FAILED | {"JOB_STATE_CANCELLING"}

#: In the Google Cloud console.
BATCH_PREDICTIONS_PAGE = "https://console.cloud.google.com/vertex-ai/batch-predictions"

#: What the key of a sample is called, in what the job reads.
_KEY = "key"


@dataclass(frozen=True, slots=True)
class BatchPrediction:
    """One batch to be predicted by one release: what a job is asked for, and what it is recognised by.

    ``instances`` are the URIs of its files, ``output`` that of the folder in which a job makes its own.
    """

    settings: Settings
    batch: str
    version: int
    model: RegisteredModel
    instances: list[str]
    output: str

    @property
    def doing(self) -> str:
        return f"predict batch {self.batch} with version {self.version} of {self.settings.name}"

    @property
    def labels(self) -> dict[str, str]:
        return labels(self.settings, batch=self.batch, version=str(self.version))

    @property
    def filter(self) -> str:
        """Finds the jobs of this batch and release in a listing; :meth:`fits` decides."""
        own = {key: value for key, value in self.labels.items() if key.startswith(LABEL_PREFIX)}
        return " AND ".join(f'labels.{key}="{value}"' for key, value in sorted(own.items()))

    def fits(self, job: Any) -> bool:
        """Whether ``job`` predicts this: the same model, version and all, into the same folder.

        Only the last part of the model's name counts: the service may name the project by its number.
        """
        return (
            all(job.labels.get(key) == value for key, value in self.labels.items() if key.startswith(LABEL_PREFIX))
            and job.output_config.gcs_destination.output_uri_prefix.rstrip("/") == self.output
            and job.model.rpartition("/")[2] == self.model.pinned.rpartition("/")[2]
        )

    def request(self) -> dict[str, Any]:
        """The ``BatchPredictionJob`` to create."""
        vertex, machines = self.settings.vertex, self.settings.vertex.prediction
        machine: dict[str, Any] = {"machine_type": machines.machine_type}
        if machines.accelerator_type is not None:
            machine |= {
                "accelerator_type": machines.accelerator_type,
                "accelerator_count": machines.accelerator_count,
            }
        job: dict[str, Any] = {
            "display_name": resource_id(
                self.settings.name.replace("_", "-"), self.batch, str(self.version), longest=128
            ),
            "model": self.model.pinned,
            "input_config": {"instances_format": "jsonl", "gcs_source": {"uris": self.instances}},
            "instance_config": {"instance_type": "object", "key_field": _KEY},
            "output_config": {
                "predictions_format": "jsonl",
                "gcs_destination": {"output_uri_prefix": self.output},
            },
            "dedicated_resources": {
                "machine_spec": machine,
                "starting_replica_count": machines.starting_replicas,
                "max_replica_count": machines.max_replicas,
            },
            "manual_batch_tuning_parameters": {"batch_size": machines.batch_size},
            "labels": self.labels,
        }
        if vertex.service_account is not None:
            job["service_account"] = vertex.service_account
        if vertex.encryption_key is not None:
            job["encryption_spec"] = {"kms_key_name": vertex.encryption_key}
        return job


class BatchPredictionJobs:
    """The jobs at one place. Each call blocks, may be repeated, and raises the ``RespanError`` that tells cause and
    remedy."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def hopeful(self, wanted: BatchPrediction, known: str | None = None) -> Any | None:
        """A job that predicts, or has predicted, what is ``wanted``: the one that is ``known`` by its name, or the
        newest. None where there is none that may still succeed."""
        job = self.get(known) if known is not None else None
        if job is not None and wanted.fits(job) and job.state.name not in _HOPELESS:
            return job
        return next((job for job in self._newest_first(wanted) if job.state.name not in _HOPELESS), None)

    def create(self, wanted: BatchPrediction) -> Any:
        """Submits a job, unless the call fails and a look shows that there is one nevertheless."""
        request = wanted.request()
        try:
            with google_errors(wanted.doing):
                return self._client.create_batch_prediction_job(
                    parent=self.place.parent, batch_prediction_job=request, timeout=CALL_SECONDS
                )
        except RemoteError as error:
            try:
                found = self.hopeful(wanted)
            except RemoteError:
                raise error from None
            if found is None:
                raise
            return found

    def get(self, name: str) -> Any | None:
        """The job; None where it was deleted."""
        from google.api_core.exceptions import NotFound

        with google_errors(f"look at batch prediction job {name}"):
            try:
                return self._client.get_batch_prediction_job(name=name, timeout=CALL_SECONDS)
            except NotFound:
                return None

    def cancel(self, name: str) -> None:
        """Asks the job to end soon; one that has ended, or was deleted, is left as it is."""
        from google.api_core.exceptions import FailedPrecondition, NotFound

        with google_errors(f"cancel batch prediction job {name}"):
            try:
                self._client.cancel_batch_prediction_job(name=name, timeout=CALL_SECONDS)
            except (FailedPrecondition, NotFound):
                return

    def cancel_all(self, wanted: BatchPrediction) -> None:
        """Cancels every job that predicts what is ``wanted``."""
        for job in self._newest_first(wanted):
            if job.state.name not in ENDED:
                self.cancel(job.name)

    def _newest_first(self, wanted: BatchPrediction) -> Iterator[Any]:
        with google_errors(f"list the jobs that {wanted.doing}"):
            listed = self._client.list_batch_prediction_jobs(
                request={"parent": self.place.parent, "filter": wanted.filter}, timeout=CALL_SECONDS
            )
            found = [job for job in listed if wanted.fits(job)]
        return iter(sorted(found, key=lambda job: job.create_time, reverse=True))

    @cached_property
    def _client(self) -> Any:
        from airflow.providers.google.cloud.hooks.vertex_ai.batch_prediction_job import BatchPredictionJobHook

        return BatchPredictionJobHook(gcp_conn_id=self.place.connection).get_job_service_client(self.place.region)


def failure_of(job: Any, doing: str, place: Place) -> RespanError:
    """Why a job that has ended without success failed, and what to do."""
    from google.api_core.exceptions import from_grpc_status

    state, page = job.state.name, job_page(job.name, place)
    if state == CANCELLED:
        return ConflictError(f"can't {doing}: the job was cancelled: clear this task to submit another one: see {page}")
    if state != "JOB_STATE_FAILED":
        return RemoteError(f"can't {doing}: the job ended as {state}: a retry submits another one: see {page}")
    error = told(from_grpc_status(job.error.code, job.error.message), doing)  # type: ignore[no-untyped-call]
    return type(error)(f"{error}: see {page}")


def job_page(name: str, place: Place) -> str:
    """The job's page in the Google Cloud console."""
    job = ResourceName.parse(name)
    return (
        f"https://console.cloud.google.com/vertex-ai/locations/{job.region}/batch-predictions/{job.id}"
        f"?project={place.project}"
    )


class BatchPredictionJobLink(BaseOperatorLink):
    """To the job's page in the Google Cloud console."""

    name = "Batch prediction job"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        task: Any = operator
        return str(task.job_page)
