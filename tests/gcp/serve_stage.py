"""A cloud on which releases serve, and the task of Airflow's that lets them, driven as Airflow drives it."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from google.protobuf import json_format, struct_pb2
from respan.operators.serve import ServeOperator
from respan.triggers.vertex_operation import VertexOperationTrigger
from respan.vertex.place import Place, place_of

from ml import layout, releases
from ml.records import ReleaseRecord, now
from ml.settings import Settings, load_settings
from ml.storage import Storage, open_storage
from ml.storage.credentials import set_credentials
from tests.dags.pipeline_folders import write_pipeline
from tests.gcp.cloud import LoopbackCloud
from tests.gcp.services.serving import Serving, serving
from tests.gcp.triggering import fired, revived_as

SETTINGS = """
kind: image_classification
target: vertex
vertex:
  project: {project}
  region: {region}
  poll_seconds: 0.02
"""
ENDPOINT = "  endpoint: {enabled: true}\n"


class Store:
    """A task's state store: what Airflow keeps over the tries of a task."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: Any, **_: Any) -> None:
        self.values[key] = json.loads(json.dumps(value))

    def delete(self, key: str) -> None:
        self.values.pop(key, None)


@dataclass
class Task:
    """A task that lets ``arguments["version"]`` serve, with what Airflow keeps of it."""

    pipeline: str
    arguments: dict[str, Any]
    store: Store = field(default_factory=Store)

    @property
    def context(self) -> Any:
        return {"task_state_store": self.store}

    def operator(self) -> ServeOperator:
        """As it is in each process that runs a part of the task: a new one."""
        return ServeOperator(task_id="serve", pipeline=self.pipeline, **self.arguments)

    def begin(self) -> TaskDeferred:
        """One try, up to where it waits."""
        with pytest.raises(TaskDeferred) as waiting:
            self.operator().execute(self.context)
        return waiting.value

    def attempt(self) -> Any:
        """One try, to its end."""
        method, given = "execute", dict[str, Any]()
        while True:
            try:
                return getattr(self.operator(), method)(self.context, **given)
            except TaskDeferred as waiting:
                kwargs = json.loads(json.dumps(waiting.kwargs or {}))
                method, given = waiting.method_name, {"event": fired(revived(waiting)), **kwargs}

    def tries(self, most: int = 4) -> Any:
        """Try after try, as Airflow makes them: until one succeeds, or fails for good."""
        for number in range(1, most + 1):
            try:
                return self.attempt()
            except AirflowFailException:
                raise
            except AirflowException:
                if number == most:
                    raise
        raise AssertionError


def revived(waiting: TaskDeferred) -> VertexOperationTrigger:
    return revived_as(VertexOperationTrigger, waiting)


@dataclass(frozen=True)
class Pipeline:
    """One pipeline with releases, and what the cloud has of it."""

    name: str
    stage: Stage

    @property
    def settings(self) -> Settings:
        return load_settings(self.name)

    @property
    def place(self) -> Place:
        return place_of(self.settings)

    @property
    def storage(self) -> Storage:
        return open_storage(self.stage.root).child(self.name)

    @property
    def cloud_id(self) -> str:
        return f"respan-{self.name.replace('_', '-')}"

    @property
    def traffic(self) -> dict[int, int]:
        """Who serves, as storage has it."""
        found = releases.serving(self.storage)
        return found.traffic if found else {}

    def release(self, version: int, model: Path | None = None) -> None:
        """A new release, which doesn't serve yet; without ``model`` its model can't be loaded."""
        folder = layout.model(version)
        for file in model.rglob("*") if model else ():
            if file.is_file():
                self.storage.write(f"{folder}/{file.relative_to(model or file).as_posix()}", file.read_bytes())
        if model is None:
            self.storage.write(f"{folder}/saved_model.pb", b"no model")
        record = ReleaseRecord(
            version=version, run=f"run-{version}", window=[1], created=now(), metrics={}, classes=["a"], code="0"
        )
        releases.record_release(self.storage, record)

    def serve(self, version: int | None, **arguments: Any) -> Task:
        return Task(self.name, {"version": version, **arguments})

    def endpoint(self) -> Any:
        """As the double has it: no fault hits this."""
        return self.stage.serving.endpoints.find(f"{self.place.parent}/endpoints/{self.cloud_id}")

    def split(self) -> dict[str, int]:
        return dict(self.endpoint().traffic_split)

    def deployed(self) -> set[str]:
        return {model.id for model in self.endpoint().deployed_models}

    def versions(self) -> dict[str, set[str]]:
        """The versions of the pipeline's model in the registry, with their aliases."""
        from airflow.providers.google.cloud.hooks.vertex_ai.model_service import ModelServiceHook

        listed = ModelServiceHook().list_model_versions(
            project_id=self.place.project, region=self.place.region, model_id=self.cloud_id
        )
        return {model.version_id: set(model.version_aliases) - {"default"} for model in listed}

    def predict(self, text: str) -> Any:
        """What the endpoint answers."""
        from google.cloud.aiplatform_v1 import PredictionServiceClient

        from tests.gcp.vertex_clients import client

        instance = json_format.ParseDict({"b64": base64.b64encode(text.encode()).decode()}, struct_pb2.Value())
        return client(self.stage.cloud, PredictionServiceClient).predict(
            endpoint=f"{self.place.parent}/endpoints/{self.cloud_id}", instances=[instance]
        )


@dataclass
class Stage:
    """The cloud, with a pipeline for each test."""

    cloud: LoopbackCloud
    serving: Serving
    pipelines: Path
    made: int = 0

    @property
    def root(self) -> str:
        return f"gs://{self.cloud.bucket}/storage"

    def pipeline(self, settings: str = ENDPOINT, *, released: int = 2) -> Pipeline:
        """A pipeline of its own; ``settings``: further lines of its section ``vertex``."""
        self.made += 1
        name = f"digits_{self.made}"
        common = SETTINGS.format(project=self.cloud.project, region=self.cloud.region)
        write_pipeline(self.pipelines, name, common + settings)
        pipeline = Pipeline(name, self)
        for version in range(1, released + 1):
            pipeline.release(version)
        return pipeline

    def requests(self, method: str, pipeline: Pipeline) -> list[Any]:
        """What reached the cloud about the pipeline's model or endpoint, whatever it was answered."""
        return [call.request for call in self.cloud.calls.of(method) if pipeline.cloud_id in str(call.request)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One cloud for the tests of a file; this process and its commands reach it as in production."""
    folder = tmp_path_factory.mktemp("serving")
    services = serving()
    with (
        LoopbackCloud(folder / "cloud", services=services.services) as cloud,
        pytest.MonkeyPatch.context() as patch,
    ):
        key = folder / "key.json"
        key.write_text(json.dumps(cloud.airflow_key))
        for name, value in cloud.environment.items():
            patch.setenv(name, value)
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
        stage = Stage(cloud, services, folder / "pipelines")
        patch.setenv("RESPAN_HOME", str(folder / "home"))
        patch.setenv("RESPAN_STORAGE", stage.root)
        patch.setenv("RESPAN_PIPELINES", str(stage.pipelines))
        patch.setenv("RESPAN_WARM_IDLE_SECONDS", "0")
        # The command is a light one.
        patch.setenv("RESPAN_TFX_PYTHON", sys.executable)
        stage.pipelines.mkdir()
        set_credentials(lambda: None)  # a new source: clients of an earlier cloud are of no use
        yield stage
        set_credentials(None)


@pytest.fixture
def stage(prepared: Stage) -> Iterator[Stage]:
    """The cloud without faults or orders of an earlier test; none of this test may be left over."""
    yield prepared
    pending = prepared.cloud.faults.pending
    prepared.cloud.faults.clear()
    prepared.serving.endpoints.script.release()
    prepared.serving.registry.script.release()
    assert pending == []
