"""Waits in the triggerer for a batch prediction job of Vertex AI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from ml.errors import RespanError
from respan.vertex.batch_prediction import ENDED
from respan.vertex.failures import google_errors
from respan.vertex.operations import CALL_SECONDS, pause
from respan.vertex.place import Place

#: How often the cancelling of a job is tried.
_TRIES = 5
_SECONDS_BETWEEN_TRIES = 1.0


class BatchPredictionTrigger(BaseTrigger):
    """Fires when the job has ended, however, or nobody may ask about it; who waits looks at it then.

    The payload is ``{"job": name}``. A paused job is waited for. Errors of Google Cloud that pass are logged, and
    looked through with growing pauses. The triggerer's loop is never blocked. Where a person clears or marks the task,
    the job is cancelled.

    :param job: its resource name.
    :param poll_seconds: seconds between two looks.
    """

    def __init__(self, connection: str, project: str, region: str, job: str, poll_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.place = Place(connection, project, region)
        self.job = job
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "connection": self.place.connection,
            "project": self.place.project,
            "region": self.place.region,
            "job": self.job,
            "poll_seconds": self.poll_seconds,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async with await self._client() as client:
            failures, told = 0, ""
            while True:
                try:
                    with google_errors(f"look at batch prediction job {self.job}"):
                        job = await client.get_batch_prediction_job(name=self.job, timeout=CALL_SECONDS)
                    failures, message = 0, job.state.name
                    if job.state.name in ENDED:
                        break
                except RespanError as error:
                    if not error.retryable:
                        break
                    failures, message = failures + 1, str(error)
                if message != told:
                    self.log.info("%s", message)
                    told = message
                await asyncio.sleep(pause(self.poll_seconds, failures))
        yield TriggerEvent({"job": self.job})  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        async with await self._client() as client:
            for tried in range(1, _TRIES + 1):
                try:
                    with google_errors(f"cancel batch prediction job {self.job}"):
                        await client.cancel_batch_prediction_job(name=self.job, timeout=CALL_SECONDS)
                    return
                except RespanError as error:
                    self.log.warning("%s", error)
                    if tried == _TRIES or not error.retryable:
                        return
                await asyncio.sleep(_SECONDS_BETWEEN_TRIES)

    async def _client(self) -> Any:
        """In this loop; its imports, the connection and the credentials are read in a thread."""
        client_class, credentials, options = await asyncio.to_thread(self._prepared)
        return client_class(credentials=credentials, client_options=options)

    def _prepared(self) -> tuple[Any, Any, Any]:
        from airflow.providers.google.cloud.hooks.vertex_ai.batch_prediction_job import BatchPredictionJobHook
        from google.cloud.aiplatform_v1 import JobServiceAsyncClient

        hook = BatchPredictionJobHook(gcp_conn_id=self.place.connection)
        options = hook.get_client_options(f"{self.place.region}-aiplatform.googleapis.com:443")
        return JobServiceAsyncClient, hook.get_credentials(), options
