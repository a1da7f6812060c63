"""Waits in the triggerer for a build of Cloud Build."""

from __future__ import annotations

import contextlib
from typing import Any

from respan.triggers.google_work import GoogleWorkTrigger
from respan.vertex.clearing_up import CANCEL_SECONDS
from respan.vertex.failures import google_errors
from respan.vertex.operations import CALL_SECONDS

_POLL_SECONDS = 5.0


class CloudBuildTrigger(GoogleWorkTrigger):
    """Fires ``{"build": id}``, see :class:`GoogleWorkTrigger`.

    :param build: its id.
    """

    work = "build"

    def __init__(self, connection: str, project: str, build: str, poll_seconds: float = _POLL_SECONDS) -> None:
        super().__init__(poll_seconds, connection=connection, project=project, build=build)
        self.connection = connection
        self.build = build
        self._request = {"project_id": project, "id": build}

    @property
    def left(self) -> str:
        build, project = self._request["id"], self._request["project_id"]
        return (
            f"unless it has ended, it runs on until its time is up, and the next try waits for it: end it with "
            f"gcloud builds cancel {build} --project={project}"
        )

    async def look(self, client: Any) -> tuple[bool, str]:
        with google_errors(f"look at Cloud Build {self.build}"):
            found = await client.get_build(self._request, timeout=CALL_SECONDS)
        return found.status.name not in ("PENDING", "QUEUED", "WORKING"), found.status.name

    async def cancel(self, client: Any) -> None:
        from google.api_core.exceptions import FailedPrecondition

        # FailedPrecondition: it has ended.
        with google_errors(f"cancel Cloud Build {self.build}"), contextlib.suppress(FailedPrecondition):
            await client.cancel_build(self._request, timeout=CANCEL_SECONDS)

    def prepared(self) -> tuple[Any, Any, Any]:
        from airflow.providers.google.cloud.hooks.cloud_build import CloudBuildHook
        from google.cloud.devtools.cloudbuild_v1 import CloudBuildAsyncClient

        hook = CloudBuildHook(gcp_conn_id=self.connection)
        return CloudBuildAsyncClient, hook.get_credentials(), hook.get_client_options()
