"""A cloud with the services that keep and serve models, as the tests use it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.cloud import aiplatform_v1 as vertex

from tests.gcp.cloud import LoopbackCloud
from tests.gcp.services.serving import Serving
from tests.gcp.vertex_clients import client

IMAGE = "europe-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"

#: States of jobs that have ended, without their prefix.
ENDED = ("SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED")


@dataclass(frozen=True)
class Place:
    """A cloud with its services, and clients of them."""

    cloud: LoopbackCloud
    serving: Serving

    @property
    def parent(self) -> str:
        return f"projects/{self.cloud.project}/locations/{self.cloud.region}"

    @property
    def models(self) -> vertex.ModelServiceClient:
        return client(self.cloud, vertex.ModelServiceClient)

    @property
    def endpoints(self) -> vertex.EndpointServiceClient:
        return client(self.cloud, vertex.EndpointServiceClient)

    @property
    def jobs(self) -> vertex.JobServiceClient:
        return client(self.cloud, vertex.JobServiceClient)

    @property
    def predictions(self) -> vertex.PredictionServiceClient:
        return client(self.cloud, vertex.PredictionServiceClient)

    def put(self, name: str, content: str | bytes) -> str:
        """A new object; its URI."""
        self.cloud.storage_client().bucket(self.cloud.bucket).blob(name).upload_from_string(content)
        return f"gs://{self.cloud.bucket}/{name}"

    def put_model(self, folder: Path | None, name: str = "model") -> str:
        """A SavedModel in the bucket, one without content for None; its URI."""
        if folder is None:
            self.put(f"{name}/saved_model.pb", b"no model")
        else:
            for file in filter(Path.is_file, folder.rglob("*")):
                self.put(f"{name}/{file.relative_to(folder)}", file.read_bytes())
        return f"gs://{self.cloud.bucket}/{name}"

    def upload(self, uri: str, **request: Any) -> vertex.UploadModelResponse:
        """Uploads a model, named ``words`` unless ``request`` says otherwise, and waits for it."""
        return self.start_upload(uri, **request).result(timeout=60)

    def start_upload(self, uri: str, *, aliases: tuple[str, ...] = (), **request: Any) -> Any:
        model = vertex.Model(
            display_name="words", artifact_uri=uri, container_spec={"image_uri": IMAGE}, version_aliases=aliases
        )
        return self.models.upload_model(request={"parent": self.parent, "model": model, **request})


def until(look: Callable[[], Any], *states: str) -> Any:
    """What ``look`` gives once its state is one of ``states``. Raises TimeoutError after two minutes."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = look()
        if found.state.name.removeprefix("JOB_STATE_") in states:
            return found
        time.sleep(0.02)
    raise TimeoutError(f"still {found.state.name}")
