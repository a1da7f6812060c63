"""Waits in the triggerer for a build of Cloud Build."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from ml.errors import RespanError
from respan.vertex.failures import google_errors
from respan.vertex.operations import CALL_SECONDS, pause

_POLL_SECONDS = 5.0


class CloudBuildTrigger(BaseTrigger):
    """Fires when the build has ended, however, or nobody may ask about it; who waits looks at it then.

    The payload is ``{"build": id}``. Errors of Google Cloud that pass are logged, and looked through with growing
    pauses. The triggerer's loop is never blocked. Where a person clears or marks the task, the build is cancelled.

    :param build: its id.
    :param poll_seconds: seconds between two looks.
    """

    def __init__(self, connection: str, project: str, build: str, poll_seconds: float = _POLL_SECONDS) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.connection = connection
        self.project = project
        self.build = build
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "connection": self.connection,
            "project": self.project,
            "build": self.build,
            "poll_seconds": self.poll_seconds,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async with await self._client() as client:
            failures = 0
            while True:
                try:
                    with google_errors(f"look at Cloud Build {self.build}"):
                        found = await client.get_build(self._request, timeout=CALL_SECONDS)
                    if found.status.name not in ("PENDING", "QUEUED", "WORKING"):
                        break
                    failures = 0
                except RespanError as error:
                    if not error.retryable:
                        break
                    failures += 1
                    self.log.info("%s", error)
                await asyncio.sleep(pause(self.poll_seconds, failures))
        yield TriggerEvent({"build": self.build})  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        from google.api_core.exceptions import FailedPrecondition

        async with await self._client() as client:
            # FailedPrecondition: it has ended.
            with google_errors(f"cancel Cloud Build {self.build}"), contextlib.suppress(FailedPrecondition):
                await client.cancel_build(self._request, timeout=CALL_SECONDS)

    @property
    def _request(self) -> dict[str, str]:
        return {"project_id": self.project, "id": self.build}

    async def _client(self) -> Any:
        """In this loop; its imports, the connection and the credentials are read in a thread."""
        client_class, credentials, options = await asyncio.to_thread(self._prepared)
        return client_class(credentials=credentials, client_options=options)

    def _prepared(self) -> tuple[Any, Any, Any]:
        from airflow.providers.google.cloud.hooks.cloud_build import CloudBuildHook
        from google.cloud.devtools.cloudbuild_v1 import CloudBuildAsyncClient

        hook = CloudBuildHook(gcp_conn_id=self.connection)
        return CloudBuildAsyncClient, hook.get_credentials(), hook.get_client_options()
