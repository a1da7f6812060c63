"""A cloud on which batches are predicted, and a task of Airflow's that does it, driven as Airflow drives it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from respan.operators.predict import PredictOperator
from respan.triggers.batch_prediction import BatchPredictionTrigger

from ml.names import safe_id
from ml.storage import Storage, open_storage
from tests.dags.pipeline_folders import write_pipeline
from tests.gcp.cloud import LoopbackCloud
from tests.gcp.predict_template import RUN
from tests.gcp.services.serving import Serving, serving

PROJECT = Path(__file__).resolve().parent.parent.parent
BATCH = safe_id(RUN)

LIST, CREATE, GET, CANCEL = (
    f"JobService.{method}BatchPredictionJob{'s' if method == 'List' else ''}"
    for method in ("List", "Create", "Get", "Cancel")
)

SETTINGS = """
kind: image_classification
target: vertex
data: {{max_refused_share: 0.5}}
vertex:
  project: {project}
  region: {region}
  poll_seconds: 0.05
"""


class Store:
    """A task's state store: what Airflow keeps over the tries of a task."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: Any, **_: Any) -> None:
        self.values[key] = value

    def delete(self, key: str) -> None:
        self.values.pop(key, None)


@dataclass
class Task:
    """The task that predicts the batch of one pipeline, with what Airflow keeps of it."""

    pipeline: str
    store: Store = field(default_factory=Store)

    @property
    def context(self) -> Any:
        return {"task_state_store": self.store}

    def operator(self) -> PredictOperator:
        """As it is in each process that runs a part of the task: a new one."""
        return PredictOperator(task_id="predict", pipeline=self.pipeline, batch=BATCH, version="1")

    def begin(self) -> TaskDeferred:
        """One try, up to where it waits."""
        with pytest.raises(TaskDeferred) as waiting:
            self.operator().execute(self.context)
        return waiting.value

    def resume(self, waiting: TaskDeferred, event: Any) -> Any:
        operator = self.operator()
        return getattr(operator, waiting.method_name)(self.context, event, **(waiting.kwargs or {}))

    def attempt(self) -> Any:
        """One try, to its end."""
        step: Callable[[], Any] = lambda: self.operator().execute(self.context)  # noqa: E731
        while True:
            try:
                return step()
            except TaskDeferred as waiting:
                event = fired(revived(waiting))
                step = lambda waiting=waiting, event=event: self.resume(waiting, event)  # noqa: E731

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


def revived(waiting: TaskDeferred) -> BatchPredictionTrigger:
    """The trigger in the triggerer, which gets it as text."""
    name, arguments = waiting.trigger.serialize()
    assert name == f"{BatchPredictionTrigger.__module__}.{BatchPredictionTrigger.__name__}"
    return BatchPredictionTrigger(**json.loads(json.dumps(arguments)))


def fired(trigger: BatchPredictionTrigger) -> Any:
    """The payload of the trigger's one event."""

    async def run() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (payload,) = asyncio.run(run())
    return payload


@dataclass
class Stage:
    """The cloud, with a batch for each test."""

    cloud: LoopbackCloud
    serving: Serving
    pipelines: Path
    made: int = 0

    @property
    def root(self) -> str:
        return f"gs://{self.cloud.bucket}/storage"

    def storage(self, pipeline: str) -> Storage:
        return open_storage(self.root).child(pipeline)

    def task(self, settings: str = "") -> Task:
        """A pipeline of its own with a copy of the batch; ``settings``: further lines of its section ``vertex``."""
        self.made += 1
        name = f"digits_{self.made}"
        common = SETTINGS.format(project=self.cloud.project, region=self.cloud.region)
        write_pipeline(self.pipelines, name, common + settings)
        bucket = self.cloud.storage_client().bucket(self.cloud.bucket)
        for blob in list(bucket.list_blobs(prefix="storage/template/")):
            bucket.copy_blob(blob, bucket, blob.name.replace("/template/", f"/{name}/", 1))
        return Task(name)

    def jobs(self, task: Task) -> list[Any]:
        """All jobs that were ever submitted for the task, the newest first."""
        from airflow.providers.google.cloud.hooks.vertex_ai.batch_prediction_job import BatchPredictionJobHook

        client = BatchPredictionJobHook().get_job_service_client(self.cloud.region)
        parent = f"projects/{self.cloud.project}/locations/{self.cloud.region}"
        found = client.list_batch_prediction_jobs(request={"parent": parent})
        return [job for job in found if job.labels["respan-pipeline"] == task.pipeline]

    def states(self, task: Task) -> list[str]:
        """The jobs' states, the newest job's first, without what they have in common."""
        return [job.state.name.removeprefix("JOB_STATE_") for job in self.jobs(task)]

    def run_in_tfx(self, *arguments: str, environment: Mapping[str, str] = {}) -> str:  # noqa: B006 - never changed
        """What a process of TFX's interpreter prints."""
        command = [os.environ["RESPAN_TFX_PYTHON_FOR_TESTS"], *arguments]
        env = {**os.environ, "PYTHONPATH": str(PROJECT), "CUDA_VISIBLE_DEVICES": "", **environment}
        done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One cloud for the tests of a file; this process and its commands reach it as in production."""
    folder = tmp_path_factory.mktemp("predicting")
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
        patch.setenv("RESPAN_TFX_PYTHON_FOR_TESTS", os.environ["RESPAN_TFX_PYTHON"])
        # The instances are there already, and what is left of the commands needs no TensorFlow.
        patch.setenv("RESPAN_TFX_PYTHON", sys.executable)
        stage.pipelines.mkdir()
        stage.run_in_tfx("-m", "tests.gcp.predict_template", stage.root)
        yield stage


@pytest.fixture
def stage(prepared: Stage) -> Iterator[Stage]:
    """The cloud without faults or orders of an earlier test; none of this test may be left over."""
    yield prepared
    pending = prepared.cloud.faults.pending
    prepared.cloud.faults.clear()
    prepared.serving.batch.script.release()
    assert pending == []
