"""A deployment whose storage is in Cloud Storage and whose models are trained on Vertex AI: a local Airflow, and the
Google Cloud on loopback in the tests' own process, so that they can count its calls and let them fail."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google.cloud.aiplatform_v1 import PredictionServiceClient
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Value

from scripts.airflow_local import LocalAirflow
from tests.dags.pipeline_folders import write_pipeline
from tests.end_to_end.deployment import PIPELINE, QUICK_RECOVERY, SETTINGS, TRAINING, pictures, run_ml
from tests.gcp.cloud import LoopbackCloud
from tests.gcp.services.pipelines import PipelineService
from tests.gcp.services.pipelines_containers import ContainerExecutor
from tests.gcp.services.serving import Serving, serving
from tests.gcp.vertex_clients import client

#: Its settings say that it runs on this machine.
AT_HOME_PIPELINE = "stripes_at_home"
AT_HOME_TRAINING = f"{AT_HOME_PIPELINE}.training"

_VERTEX = """
target: {target}
vertex:
  region: {region}
  image: {region}-docker.pkg.dev/{project}/respan/respan:1
  service_account: {account}
  poll_seconds: 1
  endpoint: {{enabled: true}}
"""

_QUICK_RECOVERY = {
    **QUICK_RECOVERY,
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
}


class VertexDeployment:
    """``executor`` runs the containers of ``pipelines``; ``home``, the RESPAN_HOME, is below ``folder``."""

    def __init__(
        self,
        folder: Path,
        cloud: LoopbackCloud,
        pipelines: PipelineService,
        executor: ContainerExecutor,
        models: Serving,
    ) -> None:
        self.cloud, self.pipelines, self.executor, self.models = cloud, pipelines, executor, models
        self.home = folder / "home"
        self.root = f"gs://{cloud.bucket}/respan"
        for name, target in ((PIPELINE, "vertex"), (AT_HOME_PIPELINE, "local")):
            vertex = _VERTEX.format(
                target=target, region=cloud.region, project=cloud.project, account=cloud.workload_principal
            )
            write_pipeline(folder / "pipelines", name, SETTINGS + vertex)
        cloud.workload_environment["RESPAN_PIPELINES"] = str(folder / "pipelines")  # they are in the image
        # TensorFlow's own reader of gs://, with which components run on this machine, knows of no Airflow connection.
        key = folder / "key.json"
        key.write_text(json.dumps(cloud.airflow_key))
        self.airflow = LocalAirflow(
            self.home,
            storage=self.root,
            pipelines=str(folder / "pipelines"),
            environment={
                "RESPAN_TFX_PYTHON": os.environ["RESPAN_TFX_PYTHON"],
                **cloud.environment,
                "GOOGLE_APPLICATION_CREDENTIALS": str(key),
                **_QUICK_RECOVERY,
            },
        )
        self.bucket: Any = cloud.storage_client().bucket(cloud.bucket)

    def ml(self, *arguments: str) -> Any:
        """The JSON that ``python -m ml …`` prints, run as a person would beside the running Airflow."""
        return run_ml(self.airflow.environment, *arguments)

    def collect(self, count: int, *, seed: int, tilted: bool = False) -> None:
        """Puts new samples into the inbox of :data:`PIPELINE`."""
        for name, content in pictures(count, seed=seed, tilted=tilted):
            self.bucket.blob(f"respan/{PIPELINE}/inbox/{name}").upload_from_string(content)

    def document(self, name: str, pipeline: str = PIPELINE) -> dict[str, Any]:
        """A JSON document of the pipeline's storage."""
        found: dict[str, Any] = json.loads(self.bucket.blob(f"respan/{pipeline}/{name}").download_as_bytes())
        return found

    def names(self, folder: str, pipeline: str = PIPELINE) -> list[str]:
        """The names of the objects below ``folder`` of the pipeline's storage, from there on."""
        prefix = f"respan/{pipeline}/{folder}/"
        return [blob.name.removeprefix(prefix) for blob in self.bucket.client.list_blobs(self.bucket, prefix=prefix)]

    def lend_spans(self) -> None:
        """:data:`AT_HOME_PIPELINE` gets the spans of :data:`PIPELINE`."""
        for name in self.names("spans"):
            blob = self.bucket.blob(f"respan/{PIPELINE}/spans/{name}")
            self.bucket.copy_blob(blob, self.bucket, f"respan/{AT_HOME_PIPELINE}/spans/{name}")

    def endpoint(self, pipeline: str = PIPELINE) -> Any:
        """The pipeline's endpoint, as Vertex AI has it."""
        return self.models.endpoints.find(self._resource("endpoints", pipeline))

    def answers(self, images: list[bytes]) -> tuple[list[Any], str]:
        """What the endpoint of :data:`PIPELINE` answers to ``images``, and the id of the deployed model that did."""
        instances = [ParseDict({"b64": base64.b64encode(image).decode()}, Value()) for image in images]
        answer = client(self.cloud, PredictionServiceClient).predict(
            endpoint=self._resource("endpoints", PIPELINE), instances=instances
        )
        document = MessageToDict(type(answer).pb(answer))
        return document["predictions"], document["deployedModelId"]

    def _resource(self, kind: str, pipeline: str) -> str:
        place = f"projects/{self.cloud.project}/locations/{self.cloud.region}"
        return f"{place}/{kind}/respan-{pipeline.replace('_', '-')}"


@contextmanager
def deployed(folder: Path) -> Iterator[VertexDeployment]:
    """The deployment, whose Airflow runs and knows the DAGs. At the end nothing of it runs."""
    executor, models = ContainerExecutor(warm=True), serving(Path(os.environ["RESPAN_TFX_PYTHON"]))
    pipelines = PipelineService(executor)
    with LoopbackCloud(folder / "cloud", services=[pipelines, *models.services]) as cloud:
        deployment = VertexDeployment(folder, cloud, pipelines, executor, models)
        try:
            with deployment.airflow:
                deployment.airflow.wait_for_dags(TRAINING, AT_HOME_TRAINING)
                yield deployment
        finally:
            deployment.ml("warm", "stop")
