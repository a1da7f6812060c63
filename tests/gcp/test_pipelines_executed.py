"""Every pipeline of this repository, compiled for Vertex AI and run as its spec says, in TFX's environment."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.cloud import aiplatform_v1

from tests.gcp.cloud import LoopbackCloud
from tests.gcp.services.pipelines import PipelineService
from tests.gcp.services.pipelines_containers import ContainerExecutor
from tests.gcp.services.spec_samples import IMAGE
from tests.gcp.vertex_clients import client

_PROJECT = Path(__file__).resolve().parents[2]
_SCRIPT = _PROJECT / "tests" / "gcp" / "services" / "spec_training.py"
#: Each pipeline, and what makes its training short.
_PIPELINES = {
    "image_classification": ("training.epochs=3", "training.blessing_threshold=0.3"),
    "semantic_segmentation": ("training.epochs=2", "training.blessing_threshold=0.01"),
}
_CONTAINERS = {
    "ImportExampleGen", "ImportSchemaGen", "StatisticsGen", "ExampleValidator", "Transform", "Trainer", "Evaluator",
    "Comparison", "Pusher",
}  # fmt: skip


def _compiled(cloud: LoopbackCloud, pipeline: str, tfx_python: Path, run: str) -> aiplatform_v1.PipelineJob:
    """The job of a new run; data for it is made first where there is none."""
    given = cloud.workload_environment | {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(_PROJECT),
        "RESPAN_HOME": str(cloud.folder / "home"),
        "RESPAN_STORAGE": f"gs://{cloud.bucket}/respan",
    }
    command = [str(tfx_python), str(_SCRIPT), pipeline, run, IMAGE, cloud.project, *_PIPELINES[pipeline]]
    done = subprocess.run(command, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    name = f"respan/{pipeline}/{done.stdout.split()[-1]}"
    document = json.loads(cloud.storage_client().bucket(cloud.bucket).blob(name).download_as_bytes())
    return aiplatform_v1.PipelineJob.from_json(json.dumps(document))


def _details(job: aiplatform_v1.PipelineJob) -> Mapping[str, Any]:
    return {one.task_name: one for one in job.job_detail.task_details}


def test_no_pipeline_of_the_repository_is_left_out() -> None:
    installed = {file.parent.name for file in (_PROJECT / "ml" / "pipelines").glob("*/settings.yaml")}
    assert set(_PIPELINES) == installed


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("pipeline", _PIPELINES)
def test_a_compiled_run_ends_in_a_blessed_model_that_is_pushed_and_the_next_one_comes_from_the_cache(
    tmp_path: Path, pipeline: str
) -> None:
    tfx_python = Path(os.environ["RESPAN_TFX_PYTHON"])
    executor = ContainerExecutor(warm=True)
    service = PipelineService(executor)
    with LoopbackCloud(tmp_path / "cloud", services=[service]) as cloud:
        pipelines = client(cloud, aiplatform_v1.PipelineServiceClient)
        parent = f"projects/{cloud.project}/locations/{cloud.region}"

        def run(name: str) -> aiplatform_v1.PipelineJob:
            job = _compiled(cloud, pipeline, tfx_python, name)
            pipelines.create_pipeline_job(parent=parent, pipeline_job=job, pipeline_job_id=name)
            return service.wait_for_end(name, seconds=600)

        first = run("first")
        details = _details(first)
        failed = {name: one.error.message for name, one in details.items() if one.error.message}
        assert failed == {}
        assert {task for _, task in executor.executions} == _CONTAINERS
        blessing = details["Comparison"].outputs["blessing"].artifacts[0]
        model = details["Trainer"].outputs["model"].artifacts[0]
        assert (blessing.metadata["blessed"], blessing.metadata["current_model"]) == (1, model.uri)
        pushed = [
            blob.name
            for blob in cloud.storage_client().list_blobs(cloud.bucket, prefix="respan/")
            if "pushed" in blob.name
        ]
        assert any(name.endswith("saved_model.pb") for name in pushed), pushed

        second = run("second")
        states = {name: one.state.name for name, one in _details(second).items() if name in _CONTAINERS}
        # Each run has places of its own for the pushed model and the comparison, which are parameters.
        assert states == dict.fromkeys(_CONTAINERS, "SKIPPED") | dict.fromkeys(("Comparison", "Pusher"), "SUCCEEDED")
        assert second.state.name == "PIPELINE_STATE_SUCCEEDED"
    assert executor.running() == []
