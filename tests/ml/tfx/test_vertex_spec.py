"""The Vertex AI pipeline that the same factory compiles to."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    WorkerOptions,
)

from ml.cli import run
from ml.errors import CodeError
from ml.home import PROJECT, pipeline_folder
from ml.settings import load_settings
from ml.tfx.compilation import compile_graph
from ml.tfx.run_spec import Champion
from ml.tfx.vertex_spec import PARAMETERS, VertexPlace, compile_spec

PIPELINE = "image_classification"


PLACE = VertexPlace(
    image="registry.example/respan@sha256:ab",
    pipeline_root="gs://bucket/digits/runs/artifacts",
    project="numbers",
    modules="gs://bucket/digits/modules/0123",
)


def job(place: VertexPlace | None = None, **settings: str) -> dict[str, Any]:
    """The job with ``settings``, dotted keys with ``__`` in place of the dots."""
    given = {key.replace("__", "."): value for key, value in settings.items()}
    loaded: dict[str, Any] = json.loads(compile_spec(load_settings(PIPELINE, given), place))
    return loaded


def containers(made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Component → its container."""
    executors = made["pipelineSpec"]["deploymentSpec"]["executors"]
    return {
        name.removesuffix("_executor"): executor["container"]
        for name, executor in executors.items()
        if "container" in executor
    }


def tasks(made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = made["pipelineSpec"]["root"]["dag"]["tasks"]
    return found


def beam(made: dict[str, Any]) -> PipelineOptions:
    """How Beam understands the arguments that a component gets."""
    arguments = containers(made)["Transform"]["args"]
    return PipelineOptions(arguments[arguments.index("--json_serialized_inputs_spec_args") + 2 :])


def test_each_component_of_the_graph_is_a_task_of_the_spec() -> None:
    drawn = set(tasks(job()))
    nodes = {node.id for node in compile_graph(load_settings(PIPELINE)).nodes}
    assert drawn == nodes


def test_what_a_run_decides_is_a_parameter_without_a_default() -> None:
    root = job()["pipelineSpec"]["root"]
    assert root["inputDefinitions"]["parameters"] == {name: {"parameterType": "STRING"} for name in PARAMETERS}
    for name, (component, key) in PARAMETERS.items():
        assert root["dag"]["tasks"][component]["inputs"]["parameters"][key] == {"componentInputParameter": name}


def test_image_and_root_are_those_given_and_each_component_runs_in_the_image() -> None:
    made = job(PLACE)
    assert made["runtimeConfig"]["gcsOutputDirectory"] == PLACE.pipeline_root
    assert {container["image"] for container in containers(made).values()} == {PLACE.image}
    assert made["pipelineSpec"]["pipelineInfo"]["name"] == "image-classification"


def test_the_values_of_a_run_are_parameters_of_the_job() -> None:
    values = dict.fromkeys(PARAMETERS, "given")
    made = json.loads(compile_spec(load_settings(PIPELINE), PLACE, values))
    assert made["runtimeConfig"]["parameterValues"] == values


def test_components_that_call_the_pipelines_functions_are_told_its_revision_and_no_others() -> None:
    commands = {name: container["command"] for name, container in containers(job(PLACE, tuner__enabled="true")).items()}
    start = ["python", "-m", "ml.tfx.vertex_node", "--node"]
    own = ["--pipeline", PIPELINE, "--modules", PLACE.modules]
    calling = {"Transform", "Tuner", "Trainer", "Comparison"}
    assert commands == {name: [*start, name, *(own if name in calling else [])] for name in commands}
    assert calling < set(commands)
    assert containers(job())["Trainer"]["command"] == [*start, "Trainer", "--pipeline", PIPELINE], "the image's own"


def test_the_champion_is_the_release_that_the_run_names() -> None:
    champion = Champion(3, "run-3", "gs://bucket/respan/image_classification/models/3")
    made = job(replace(PLACE, champion=champion))["pipelineSpec"]
    [importer] = [
        executor["importer"] for executor in made["deploymentSpec"]["executors"].values() if "importer" in executor
    ]
    assert importer["artifactUri"] == {"constant": champion.uri}
    assert importer["metadata"] == {"version": 3, "run": "run-3"}
    task = made["root"]["dag"]["tasks"]["Comparison"]
    assert task["inputs"]["artifacts"]["champion_model"]["taskOutputArtifact"]["producerTask"] == "Champion"
    assert task["inputs"]["parameters"]["champion"] == {"runtimeValue": {"constant": 3}}


@pytest.mark.parametrize(
    ("policy", "told"), [("fast", "PIPELINE_FAILURE_POLICY_FAIL_FAST"), ("slow", "PIPELINE_FAILURE_POLICY_FAIL_SLOW")]
)
def test_the_failure_policy_is_the_settings(policy: str, told: str) -> None:
    assert job(vertex__failure_policy=policy)["runtimeConfig"]["failurePolicy"] == told


def test_each_component_is_cached_or_none() -> None:
    components = {*containers(job()), "Champion"}
    cached = {name for name, task in tasks(job()).items() if task.get("cachingOptions", {}).get("enableCache")}
    assert cached == components
    assert not any(task.get("cachingOptions") for task in tasks(job(vertex__caching="false")).values())


def test_each_component_is_retried_as_often_as_the_settings_say() -> None:
    assert not any("retryPolicy" in task for task in tasks(job()).values())
    made = job(vertex__component_retries="3")
    retries = {
        name: task["retryPolicy"]["maxRetryCount"] for name, task in tasks(made).items() if "retryPolicy" in task
    }
    assert retries == dict.fromkeys(containers(made), 3)


def test_trainer_and_tuner_get_the_machines_of_the_settings_and_no_others_do() -> None:
    made = job(
        tuner__enabled="true",
        vertex__training__cpus="8",
        vertex__training__memory_gb="30",
        vertex__training__accelerator_type="NVIDIA_TESLA_T4",
        vertex__training__accelerator_count="2",
    )
    resources = {name: one["resources"] for name, one in containers(made).items() if "resources" in one}
    wanted = {"cpuLimit": 8.0, "memoryLimit": 30.0, "accelerator": {"type": "NVIDIA_TESLA_T4", "count": "2"}}
    assert resources == {"Trainer": wanted, "Tuner": wanted}
    assert containers(job())["Trainer"]["resources"] == {"cpuLimit": 4.0, "memoryLimit": 16.0}


def test_beam_runs_in_the_container_unless_dataflow_is_enabled() -> None:
    assert beam(job(PLACE)).view_as(StandardOptions).runner == "DirectRunner"


def test_dataflow_gets_its_project_and_the_image_and_what_the_settings_say_of_its_workers() -> None:
    options = beam(
        job(
            PLACE,
            vertex__dataflow__enabled="true",
            vertex__dataflow__machine_type="n2-standard-4",
            vertex__dataflow__max_workers="7",
            vertex__dataflow__service_account="beam@numbers.example",
            vertex__dataflow__subnetwork="regions/europe-west4/subnetworks/beam",
            vertex__dataflow__public_ips="false",
            vertex__encryption_key="projects/p/locations/l/keyRings/r/cryptoKeys/k",
            vertex__labels="{team: numbers}",
            vertex__region="europe-west4",
        )
    )
    cloud, workers = options.view_as(GoogleCloudOptions), options.view_as(WorkerOptions)
    assert options.view_as(StandardOptions).runner == "DataflowRunner"
    assert (cloud.project, cloud.region) == ("numbers", "europe-west4")
    assert cloud.temp_location == f"{PLACE.pipeline_root}/dataflow"
    assert cloud.service_account_email == "beam@numbers.example"
    assert cloud.dataflow_kms_key == "projects/p/locations/l/keyRings/r/cryptoKeys/k"
    assert cloud.labels == ["team=numbers"]
    assert workers.sdk_container_image == PLACE.image
    assert (workers.machine_type, workers.max_num_workers) == ("n2-standard-4", 7)
    assert workers.subnetwork == "regions/europe-west4/subnetworks/beam"
    assert workers.use_public_ips is False


def test_dataflow_decides_what_the_settings_leave_open() -> None:
    options = beam(job(PLACE, vertex__dataflow__enabled="true"))
    workers = options.view_as(WorkerOptions)
    assert (workers.machine_type, workers.subnetwork, workers.use_public_ips) == (None, None, None)
    assert options.view_as(GoogleCloudOptions).service_account_email is None


def test_another_process_with_another_home_and_another_copy_compiles_the_same_bytes(tmp_path: Path) -> None:
    shutil.copytree(pipeline_folder(PIPELINE), tmp_path / "pipelines" / PIPELINE)
    spec = tmp_path / "spec.json"
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        "PYTHONHASHSEED": "7",
        "RESPAN_HOME": str(tmp_path / "home"),
        "RESPAN_PIPELINES": str(tmp_path / "pipelines"),
    }
    command = [sys.executable, "-m", "ml", "compile", PIPELINE, "--check", "--spec", str(spec)]
    subprocess.run(command, env=environment, cwd=tmp_path, check=True)
    assert spec.read_bytes() == compile_spec(load_settings(PIPELINE))
    assert str(PROJECT) not in spec.read_text("utf-8")
    assert not re.search(r"\b20\d\d-\d\d-\d\d", spec.read_text("utf-8"))
    assert not (tmp_path / "home").exists(), "compiling connects to no metadata and writes nothing else"


def test_a_changed_module_changes_the_spec_and_a_changed_setting_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = compile_spec(load_settings(PIPELINE))
    own = shutil.copytree(pipeline_folder(PIPELINE), tmp_path / PIPELINE)
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path))
    assert compile_spec(load_settings(PIPELINE)) == before
    assert b'epochs\\": 3' in compile_spec(load_settings(PIPELINE, {"training.epochs": "3"}))
    (own / "model.py").write_text((own / "model.py").read_text("utf-8") + "\n# changed\n", "utf-8")
    assert compile_spec(load_settings(PIPELINE)) != before


@pytest.mark.parametrize(
    ("module", "content", "told"),
    [
        ("model.py", "def run_fn(:\n", r"model\.py:1: SyntaxError: "),
        ("model.py", "import nowhere_to_be_found\n", r"model\.py:1: ModuleNotFoundError: "),
        ("model.py", "\nRATE = 1 / 0\n", r"model\.py:2: ZeroDivisionError: division by zero"),
        ("model.py", "raise SystemExit('enough')\n", r"model\.py:1: SystemExit: enough"),
        ("model.py", "def train() -> None: ...\n", r"model\.py defines no function run_fn"),
        ("preprocessing.py", "import ml.pipelines.own.broken\n", r"broken\.py:3: SyntaxError: "),
    ],
)
def test_a_module_that_can_not_be_imported_does_not_compile(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: str,
    content: str,
    told: str,
) -> None:
    own = shutil.copytree(pipeline_folder(PIPELINE), tmp_path / "own")
    (own / module).write_text(content, "utf-8")
    (own / "broken.py").write_text("\n\nx = = 1\n", "utf-8")
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path))
    (own / "graph.json").unlink()
    assert run(["compile", "own"]) == CodeError.exit_code
    assert re.search(rf"^error: {re.escape(str(own))}/{told}.*$", capsys.readouterr().err.splitlines()[-1])
    assert not (own / "graph.json").exists()


def test_a_file_that_can_not_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compile", PIPELINE, "--check", "--spec", str(tmp_path / "no" / "spec.json")]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: can't write {tmp_path / 'no' / 'spec.json'}: ")
