"""Waits in the triggerer for a long-running operation of Vertex AI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from ml.errors import RespanError
from respan.vertex.failures import google_errors
from respan.vertex.operations import CALL_SECONDS, pause
from respan.vertex.place import Place


class VertexOperationTrigger(BaseTrigger):
    """Fires when the operation has ended, however, or nobody may ask about it; who waits looks at it then.

    The payload is ``{"operation": name}``. Errors of Google Cloud that pass are logged, and looked through with growing
    pauses. The triggerer's loop is never blocked. Where a person clears or marks the task, the operation is cancelled:
    what served before goes on serving.

    :param operation: its resource name.
    :param doing: what it does, as in "deploy release 3".
    :param poll_seconds: seconds between two looks.
    """

    def __init__(
        self, connection: str, project: str, region: str, operation: str, doing: str, poll_seconds: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.place = Place(connection, project, region)
        self.operation = operation
        self.doing = doing
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "connection": self.place.connection,
            "project": self.place.project,
            "region": self.place.region,
            "operation": self.operation,
            "doing": self.doing,
            "poll_seconds": self.poll_seconds,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async with await self._client() as client:
            failures = 0
            while True:
                try:
                    with google_errors(f"ask what became of the order to {self.doing}"):
                        found = await client.get_operation({"name": self.operation}, timeout=CALL_SECONDS)
                    if found.done:
                        break
                    failures = 0
                except RespanError as error:
                    if not error.retryable:
                        break
                    failures += 1
                    self.log.info("%s", error)
                await asyncio.sleep(pause(self.poll_seconds, failures))
        yield TriggerEvent({"operation": self.operation})  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        async with await self._client() as client:
            with google_errors(f"cancel the order to {self.doing}"):
                await client.cancel_operation({"name": self.operation}, timeout=CALL_SECONDS)

    async def _client(self) -> Any:
        """In this loop; its imports, the connection and the credentials are read in a thread."""
        client_class, credentials, options = await asyncio.to_thread(self._prepared)
        return client_class(credentials=credentials, client_options=options)

    def _prepared(self) -> tuple[Any, Any, Any]:
        from airflow.providers.google.cloud.hooks.vertex_ai.endpoint_service import EndpointServiceHook
        from google.cloud.aiplatform_v1 import EndpointServiceAsyncClient

        hook = EndpointServiceHook(gcp_conn_id=self.place.connection)
        options = hook.get_client_options(f"{self.place.region}-aiplatform.googleapis.com:443")
        return EndpointServiceAsyncClient, hook.get_credentials(), options
