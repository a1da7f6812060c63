"""The calls of Vertex AI's pipeline service that a task makes. Each blocks, and may be repeated."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from respan.vertex.connection import connection_errors
from respan.vertex.failures import google_errors
from respan.vertex.operations import CALL_SECONDS
from respan.vertex.place import Place


class PipelineJobs:
    """The pipeline jobs at one place. Methods raise the ``RespanError`` that tells cause and remedy.

    Jobs are ``PipelineJob`` messages of protobuf, whose fields are read ten times as fast as proto-plus's.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    def name(self, job_id: str) -> str:
        """The resource name of the job ``job_id``."""
        return f"{self._place.parent}/pipelineJobs/{job_id}"

    def create(self, job: Any, job_id: str) -> bool:
        """Starts ``job`` (a ``PipelineJob`` of proto-plus); False where there is one of that id already.

        After an error nobody knows whether it was started: a repeat finds out.
        """
        from google.api_core.exceptions import AlreadyExists

        with google_errors(f"submit pipeline job {job_id}"):
            try:
                self._hook.create_pipeline_job(
                    project_id=self._place.project,
                    region=self._place.region,
                    pipeline_job=job,
                    pipeline_job_id=job_id,
                    timeout=CALL_SECONDS,
                )
            except AlreadyExists:
                return False
        return True

    def get(self, job_id: str) -> Any | None:
        """The job; None where there is none."""
        from google.api_core.exceptions import NotFound

        with google_errors(f"look at pipeline job {job_id}"):
            try:
                found = self._client.get_pipeline_job(request={"name": self.name(job_id)}, timeout=CALL_SECONDS)
            except NotFound:
                return None
        return type(found).pb(found)

    def cancel(self, job_id: str) -> bool:
        """Asks the job to end soon; False where it has ended already."""
        from google.api_core.exceptions import FailedPrecondition

        with google_errors(f"cancel pipeline job {job_id}"):
            try:
                self._client.cancel_pipeline_job(request={"name": self.name(job_id)}, timeout=CALL_SECONDS)
            except FailedPrecondition:
                return False
        return True

    @cached_property
    def _hook(self) -> Any:
        from airflow.providers.google.cloud.hooks.vertex_ai.pipeline_job import PipelineJobHook

        with connection_errors(self._place.connection):
            hook = PipelineJobHook(gcp_conn_id=self._place.connection)
            hook.get_credentials()  # which the hook keeps
        return hook

    @cached_property
    def _client(self) -> Any:
        return self._hook.get_pipeline_service_client(self._place.region)
