"""The containers of a Vertex AI pipeline: the command that the spec names, run here on local files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from ml.ci_cd.modules import copy_modules
from ml.ci_cd.records import Scope
from ml.errors import ComponentError, DataError, NotFoundError, SettingsError
from ml.home import PROJECT, pipeline_folder, pipeline_storage
from ml.runs import read_run
from ml.settings import load_settings
from ml.storage import Storage, open_storage
from ml.tfx.metadata import LockedMetadata, run_outputs
from ml.tfx.metadata_places import metadata_place
from ml.tfx.vertex_spec import VertexPlace, compile_spec
from ml.tfx.window_files import WindowFiles, window_files
from tests.ml.tfx.digits_pipeline import FAST, PIPELINE, example, write_span

pytestmark = pytest.mark.slow

A = "a" * 40


class Container:
    """One component of the compiled spec, and what Vertex AI would give it."""

    def __init__(self, folder: Path, node: str, modules: str | None = None) -> None:
        spec = json.loads(compile_spec(load_settings(PIPELINE, FAST), VertexPlace(modules=modules)))["pipelineSpec"]
        self.folder, self.node = folder, node
        self.output = folder / "task" / "executor_output.json"
        self._container = spec["deploymentSpec"]["executors"][f"{node}_executor"]["container"]
        self._component = spec["components"][node]
        self._task = spec["root"]["dag"]["tasks"][node]

    def run(
        self, inputs: Mapping[str, str] | None = None, parameters: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs the command. ``inputs``: input → URI; ``parameters``: those that a run decides."""
        executor_input = json.dumps(
            {"inputs": self._inputs(inputs or {}, parameters or {}), "outputs": self._outputs()}
        )
        command = self._container["command"] + self._container["args"]
        command = [executor_input if word == "{{$}}" else word for word in command]
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RESPAN_")}
        environment |= {"PYTHONPATH": str(PROJECT), "TMPDIR": str(temporary)}
        return subprocess.run(
            [sys.executable, *command[1:]],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def message(self) -> str:
        """What Vertex AI shows as the task's error."""
        written: dict[str, str] = json.loads((self.output.parent / "executor_error.json").read_text())
        return written["errorMessage"]

    def _inputs(self, inputs: Mapping[str, str], parameters: Mapping[str, str]) -> dict[str, Any]:
        constants = {
            name: value["runtimeValue"]["constant"]
            for name, value in self._task["inputs"].get("parameters", {}).items()
            if "runtimeValue" in value
        }
        artifacts = {name: self._artifact("inputDefinitions", name, uri) for name, uri in inputs.items()}
        return {"artifacts": artifacts, "parameterValues": {**constants, **parameters}}

    def _outputs(self) -> dict[str, Any]:
        names = self._component["outputDefinitions"]["artifacts"]
        artifacts = {name: self._artifact("outputDefinitions", name, str(self.folder / name)) for name in names}
        return {"artifacts": artifacts, "outputFile": str(self.output)}

    def _artifact(self, definitions: str, name: str, uri: str) -> dict[str, Any]:
        kind = self._component[definitions]["artifacts"][name]["artifactType"]
        of_examples = {
            "split_names": '["train", "eval", "held_out"]',
            "payload_format": "FORMAT_TF_EXAMPLE",
            "file_format": "tfrecords_gzip",
        }
        metadata = of_examples if name == "examples" else {}
        return {"artifacts": [{"name": f"artifacts/{name}", "type": kind, "uri": uri, "metadata": metadata}]}


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(f"file://{tmp_path / 'storage'}").child(PIPELINE)


def ship(storage: Storage, folder: Path, line: str, instead: str) -> str:
    """Copies revision A of the pipeline, with ``instead`` of ``line`` in its ``model.py``; the URI of its modules."""
    own = shutil.copytree(pipeline_folder(PIPELINE), folder / "revision" / PIPELINE)
    model = own / "model.py"
    text = model.read_text()
    assert text.count(line) == 1
    model.write_text(text.replace(line, instead))
    copy_modules(storage, PIPELINE, own, A, Scope.MODULES)
    return f"{storage.root}/modules/{A}"


def trainer_inputs() -> dict[str, str]:
    """What the components before the Trainer gave in the run "first"."""
    run = read_run(pipeline_storage(PIPELINE), "first").run
    outputs = run_outputs(LockedMetadata(metadata_place(PIPELINE)), run)
    return {
        "examples": outputs["ImportExampleGen"]["examples"],
        "transform_graph": outputs["Transform"]["transform_graph"],
        "schema": outputs["ImportSchemaGen"]["schema"],
    }


def test_the_model_is_trained_with_the_modules_of_the_revision(trained: Path, tmp_path: Path, storage: Storage) -> None:
    modules = ship(storage, tmp_path, "classes=len(window.classes),", "classes=len(window.classes) + 1,")
    trainer = Container(tmp_path, "Trainer", modules)
    done = trainer.run(trainer_inputs())
    assert done.returncode == 0, done.stderr[-2000:]
    model = tf.saved_model.load(str(tmp_path / "model" / "Format-Serving"))
    probabilities = model.signatures["serving_examples"].structured_outputs["probabilities"]
    assert int(probabilities.shape[-1]) == 11, "the image's own model has 10"
    assert json.loads(trainer.output.read_text())["artifacts"]["model"]
    assert list((tmp_path / "tmp").glob("respan-*")) == [], "the modules are gone with the container"


@pytest.mark.parametrize(
    ("line", "told", "code"),
    [
        (
            "from ml.errors import DataError; raise DataError('the light was off')",
            "Trainer failed: the light was off",
            DataError.exit_code,
        ),
        (
            "raise ValueError('no such layer')",
            "Trainer failed: ValueError: no such layer",
            ComponentError.exit_code,
        ),
    ],
    ids=["an error of Respan's own", "any other"],
)
def test_a_failure_is_one_line_for_people_and_for_vertex(
    trained: Path, tmp_path: Path, storage: Storage, line: str, told: str, code: int
) -> None:
    modules = ship(storage, tmp_path, "def run_fn(fn_args: FnArgs) -> None:\n", f"def run_fn(fn_args):\n    {line}\n")
    trainer = Container(tmp_path, "Trainer", modules)
    done = trainer.run(trainer_inputs())
    assert done.returncode == code
    assert done.stderr.splitlines()[-1] == f"error: {told}"
    assert "Traceback" in done.stderr, "and the trace before it"
    assert trainer.message() == told
    assert not trainer.output.exists()


def test_a_component_of_respans_own_needs_no_modules(respan_home: Path, tmp_path: Path) -> None:
    example_gen = Container(tmp_path, "ImportExampleGen")
    write_span(1, [example(b"a", "a")], [example(b"b", "b")])
    files, fingerprint = window_files(pipeline_storage(PIPELINE), [1], [1])
    done = example_gen.run(parameters={"files": files.model_dump_json(), "fingerprint": fingerprint})
    assert done.returncode == 0, done.stderr[-2000:]
    published = Path(pipeline_storage(PIPELINE).uri("spans/span-1/eval/data-00000-of-00001.tfrecord.gz")).read_bytes()
    for split in ("eval", "held_out"):
        copied = tmp_path / "examples" / f"Split-{split}" / "data_tfrecord-00000-of-00001.gz"
        assert copied.read_bytes() == published


def test_a_window_without_examples_is_told_like_on_the_local_target(tmp_path: Path) -> None:
    example_gen = Container(tmp_path, "ImportExampleGen")
    done = example_gen.run(parameters={"files": WindowFiles().model_dump_json(), "fingerprint": "f"})
    assert done.returncode == DataError.exit_code
    assert example_gen.message().startswith("ImportExampleGen failed: window without spans has no train examples")


def test_modules_that_can_not_be_used_are_told_before_anything_runs(tmp_path: Path, storage: Storage) -> None:
    uri = ship(storage, tmp_path, "Trains on the window", "Learns from the window")
    missing = Container(tmp_path, "Trainer", uri.replace(A, "b" * 40))
    assert missing.run().returncode == NotFoundError.exit_code
    assert missing.message().startswith("Trainer failed: ")
    elsewhere = Container(tmp_path, "Trainer", str(tmp_path))
    assert elsewhere.run().returncode == SettingsError.exit_code
    assert f"give <storage>/{PIPELINE}/modules/<revision>" in elsewhere.message()
    Path(storage.uri(f"modules/{A}/model.py")).write_text("print('another')")
    damaged = Container(tmp_path, "Trainer", uri)
    assert damaged.run().returncode == DataError.exit_code
    assert "is not what was copied" in damaged.message()
