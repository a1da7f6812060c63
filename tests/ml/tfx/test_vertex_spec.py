"""The Vertex AI pipeline that the same factory compiles to."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ml.cli import run
from ml.errors import CodeError
from ml.home import PROJECT, pipeline_folder
from ml.settings import load_settings
from ml.tfx.compilation import compile_graph
from ml.tfx.vertex_spec import PARAMETERS, compile_spec

PIPELINE = "image_classification"


def job(**given: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(compile_spec(load_settings(PIPELINE), **given))
    return loaded


def test_each_component_of_the_graph_is_a_task_of_the_spec() -> None:
    tasks = set(job()["pipelineSpec"]["root"]["dag"]["tasks"])
    nodes = {node.id for node in compile_graph(load_settings(PIPELINE)).nodes}
    assert tasks - nodes == {"Resolver-model-blessing-resolver", "Resolver-model-resolver"}
    assert nodes - tasks == {"Resolver"}


def test_what_a_run_decides_is_a_parameter_without_a_default() -> None:
    root = job()["pipelineSpec"]["root"]
    assert root["inputDefinitions"]["parameters"] == {name: {"parameterType": "STRING"} for name in PARAMETERS}
    for name, (component, key) in PARAMETERS.items():
        assert root["dag"]["tasks"][component]["inputs"]["parameters"][key] == {"componentInputParameter": name}


def test_image_and_root_are_those_given_and_each_component_runs_in_the_image() -> None:
    made = job(image="registry.example/respan@sha256:ab", pipeline_root="gs://bucket/digits/runs/artifacts")
    assert made["runtimeConfig"]["gcsOutputDirectory"] == "gs://bucket/digits/runs/artifacts"
    executors = made["pipelineSpec"]["deploymentSpec"]["executors"].values()
    images = {executor["container"]["image"] for executor in executors if "container" in executor}
    assert images == {"registry.example/respan@sha256:ab"}
    assert made["pipelineSpec"]["pipelineInfo"]["name"] == "image-classification"


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
