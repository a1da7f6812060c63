"""A cloud on which batches are predicted, and a task of Airflow's that does it, driven as Airflow drives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from respan.google_credentials import connection_credentials, use_connection
from respan.operators.predict import PredictOperator
from respan.triggers.batch_prediction import BatchPredictionTrigger

from ml.names import safe_id
from ml.storage import Storage, open_storage
from ml.storage.credentials import set_credentials
from tests.dags.pipeline_folders import write_pipeline
from tests.gcp.cloud import LoopbackCloud
from tests.gcp.predict_template import RUN
from tests.gcp.services.serving import Serving, serving
from tests.gcp.triggering import fired, revived_as

PROJECT = Path(__file__).resolve().parent.parent.parent
BATCH = safe_id(RUN)
TEMPLATE = "template"

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
        try:
            return self.operator().execute(self.context)
        except TaskDeferred as deferral:
            waiting = deferral
        while True:
            try:
                return self.resume(waiting, fired(revived(waiting)))
            except TaskDeferred as deferral:
                waiting = deferral


def revived(waiting: TaskDeferred) -> BatchPredictionTrigger:
    return revived_as(BatchPredictionTrigger, waiting)


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
        task = self._pipeline(settings)
        bucket = self.cloud.storage_client().bucket(self.cloud.bucket)
        for blob in list(bucket.list_blobs(prefix=f"storage/{TEMPLATE}/")):
            bucket.copy_blob(blob, bucket, blob.name.replace(f"/{TEMPLATE}/", f"/{task.pipeline}/", 1))
        return task

    def task_of_its_own(self) -> Task:
        """The same, but made anew: a copy has objects of other generations than its manifest says."""
        task = self._pipeline("")
        self.run_in_tfx("-m", "tests.gcp.predict_template", self.root, task.pipeline)
        return task

    def _pipeline(self, settings: str) -> Task:
        self.made += 1
        name = f"digits_{self.made}"
        common = SETTINGS.format(project=self.cloud.project, region=self.cloud.region)
        write_pipeline(self.pipelines, name, common + settings)
        return Task(name)

    def jobs(self, task: Task) -> list[Any]:
        """All jobs that were ever submitted for the task, the newest first."""
        parent = f"projects/{self.cloud.project}/locations/{self.cloud.region}"
        found = self.client().list_batch_prediction_jobs(request={"parent": parent})
        return [job for job in found if job.labels["respan-pipeline"] == task.pipeline]

    def client(self) -> Any:
        """Google's client of the jobs, as the provider makes it."""
        from airflow.providers.google.cloud.hooks.vertex_ai.batch_prediction_job import BatchPredictionJobHook

        return BatchPredictionJobHook().get_job_service_client(self.cloud.region)

    def states(self, task: Task) -> list[str]:
        """The jobs' states, the newest job's first, without what they have in common."""
        return [job.state.name.removeprefix("JOB_STATE_") for job in self.jobs(task)]

    def run_in_tfx(self, *arguments: str) -> str:
        """What a process of TFX's interpreter prints."""
        command = [os.environ["RESPAN_TFX_PYTHON_FOR_TESTS"], *arguments]
        env = {**os.environ, "PYTHONPATH": str(PROJECT), "CUDA_VISIBLE_DEVICES": ""}
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
        set_credentials(lambda: connection_credentials())  # a new one: what an earlier cloud gave is not used again
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
        stage.run_in_tfx("-m", "tests.gcp.predict_template", stage.root, TEMPLATE)
        yield stage
        use_connection()


@pytest.fixture
def stage(prepared: Stage) -> Iterator[Stage]:
    """The cloud without faults or orders of an earlier test; none of this test may be left over."""
    yield prepared
    pending = prepared.cloud.faults.pending
    prepared.cloud.faults.clear()
    prepared.serving.batch.script.release()
    assert pending == []
