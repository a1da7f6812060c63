"""Waits in the triggerer for a batch prediction job of Vertex AI."""

from __future__ import annotations

import contextlib
from typing import Any

from respan.triggers.google_work import GoogleWorkTrigger
from respan.vertex.batch_prediction import ENDED, job_page
from respan.vertex.clearing_up import CANCEL_SECONDS
from respan.vertex.failures import google_errors
from respan.vertex.operations import CALL_SECONDS
from respan.vertex.place import Place


class BatchPredictionTrigger(GoogleWorkTrigger):
    """Fires ``{"job": name}``, see :class:`GoogleWorkTrigger`. A paused job is waited for.

    :param job: its resource name.
    """

    work = "job"

    def __init__(self, connection: str, project: str, region: str, job: str, poll_seconds: float) -> None:
        super().__init__(poll_seconds, connection=connection, project=project, region=region, job=job)
        self.connection = connection
        self.region = region
        self.job = job
        self._page = job_page(job, Place(connection, project, region))

    @property
    def left(self) -> str:
        return f"unless it has ended, it runs on, and the next try waits for it: cancel it at {self._page}"

    async def look(self, client: Any) -> tuple[bool, str]:
        with google_errors(f"look at batch prediction job {self.job}"):
            found = await client.get_batch_prediction_job(name=self.job, timeout=CALL_SECONDS)
        return found.state.name in ENDED, found.state.name

    async def cancel(self, client: Any) -> None:
        from google.api_core.exceptions import FailedPrecondition, NotFound

        # It has ended, or was deleted.
        with (
            google_errors(f"cancel batch prediction job {self.job}"),
            contextlib.suppress(FailedPrecondition, NotFound),
        ):
            await client.cancel_batch_prediction_job(name=self.job, timeout=CANCEL_SECONDS)

    def prepared(self) -> tuple[Any, Any, Any]:
        from airflow.providers.google.cloud.hooks.vertex_ai.batch_prediction_job import BatchPredictionJobHook
        from google.cloud.aiplatform_v1 import JobServiceAsyncClient

        hook = BatchPredictionJobHook(gcp_conn_id=self.connection)
        options = hook.get_client_options(f"{self.region}-aiplatform.googleapis.com:443")
        return JobServiceAsyncClient, hook.get_credentials(), options
