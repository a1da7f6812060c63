"""Waits in the triggerer for a long-running operation of Vertex AI."""

from __future__ import annotations

from typing import Any

from respan.triggers.google_work import GoogleWorkTrigger
from respan.vertex.clearing_up import CANCEL_SECONDS
from respan.vertex.failures import google_errors
from respan.vertex.operations import CALL_SECONDS


class VertexOperationTrigger(GoogleWorkTrigger):
    """Fires ``{"operation": name}``, see :class:`GoogleWorkTrigger`. Cancelled, what served before goes on serving.

    :param operation: its resource name.
    :param doing: what it does, as in "deploy release 3".
    """

    work = "operation"

    def __init__(
        self, connection: str, project: str, region: str, operation: str, doing: str, poll_seconds: float
    ) -> None:
        super().__init__(
            poll_seconds, connection=connection, project=project, region=region, operation=operation, doing=doing
        )
        self.connection = connection
        self.region = region
        self.operation = operation
        self.doing = doing

    @property
    def left(self) -> str:
        return f"to {self.doing} goes on: the next try waits for it, and brings the endpoint to what storage says"

    async def look(self, client: Any) -> tuple[bool, str]:
        with google_errors(f"ask what became of the order to {self.doing}"):
            found = await client.get_operation({"name": self.operation}, timeout=CALL_SECONDS)
        return bool(found.done), f"to {self.doing} goes on"

    async def cancel(self, client: Any) -> None:
        with google_errors(f"cancel the order to {self.doing}"):
            await client.cancel_operation({"name": self.operation}, timeout=CANCEL_SECONDS)

    def prepared(self) -> tuple[Any, Any, Any]:
        from airflow.providers.google.cloud.hooks.vertex_ai.endpoint_service import EndpointServiceHook
        from google.cloud.aiplatform_v1 import EndpointServiceAsyncClient

        hook = EndpointServiceHook(gcp_conn_id=self.connection)
        options = hook.get_client_options(f"{self.region}-aiplatform.googleapis.com:443")
        return EndpointServiceAsyncClient, hook.get_credentials(), options
