"""A run with the target vertex: what it needs before it starts, the job that it becomes, and what becomes of that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml import layout, releases
from ml.ci_cd.modules import copy_modules
from ml.ci_cd.records import Scope
from ml.cli import run
from ml.errors import ConflictError, DataError, NotFoundError, SettingsError
from ml.home import metadata_file, pipeline_folder, pipeline_storage
from ml.publishing import publish
from ml.records import Span, now
from ml.runs import read_run, start_run
from ml.scoring import score_folder
from ml.settings import load_settings
from ml.storage import Storage
from ml.tfx.metadata import LockedMetadata, run_outputs
from ml.tfx.metadata_places import SqliteFile
from ml.vertex_records import RunOutputs
from tests.ml.tfx.digits_pipeline import PIPELINE, digits
from tests.unit.data.cloud_process import BUCKET, cloud_process

A = "a" * 40
IMAGE = "registry.example/respan@sha256:1"
VERTEX = {"target": "vertex", "vertex.image": IMAGE}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with cloud_process(tmp_path_factory.mktemp("cloud")) as environment:
        yield environment


@pytest.fixture
def storage(cloud: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """The pipeline's storage in a bucket, with one complete span."""
    for name, value in cloud.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RESPAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RESPAN_STORAGE", f"gs://{BUCKET}/{tmp_path.name}")
    made = pipeline_storage(PIPELINE)
    with_span(made)
    return made


def with_span(storage: Storage) -> None:
    for split in ("train", "eval"):
        storage.write(layout.span(1, f"{split}/data-00000-of-00001.tfrecord.gz"), b"examples")
    span = Span(span=1, batch="b", created=now(), classes={}, train=1, eval=1, duplicates=0, refused=0)
    storage.write(layout.span(1, layout.SPAN), span.to_json())


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def start(run_id: str, *settings: str) -> int:
    given = [word for setting in settings for word in ("--set", setting)]
    return run(["run", "start", PIPELINE, "--run-id", run_id, "--json", *given])


def test_the_target_of_a_run_is_decided_when_it_starts_and_told(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start("here") == 0
    assert document(capsys)["target"] == "local"
    assert start("there", "target=vertex", f"vertex.image={IMAGE}") == 0
    assert document(capsys)["target"] == "vertex"
    assert read_run(storage, "there").target == "vertex"


def test_a_record_of_a_run_that_knew_no_target_is_one_of_the_local_target(storage: Storage) -> None:
    written = json.loads(start_run(PIPELINE, storage, "old").to_json())
    del written["target"]
    storage.write(layout.run(written["run"], layout.RUN), json.dumps(written).encode())
    assert read_run(storage, "old").target == "local"


def test_the_target_vertex_needs_storage_that_it_can_reach(
    respan_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_span(pipeline_storage(PIPELINE))
    assert start("run", "target=vertex", f"vertex.image={IMAGE}") == SettingsError.exit_code
    assert "set RESPAN_STORAGE to gs://<bucket>/<folder>, or target to local" in capsys.readouterr().err


def test_the_target_vertex_needs_an_image_the_settings_or_the_revisions(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start("run", "target=vertex") == SettingsError.exit_code
    assert "has no container image to run in: set vertex.image" in capsys.readouterr().err
    copy_modules(storage, PIPELINE, pipeline_folder(PIPELINE), A, Scope.WHOLE, IMAGE)
    assert start("run", "target=vertex") == 0


def test_a_run_on_vertex_is_not_run_here_by_mistake(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    start_run(PIPELINE, storage, "run", settings=VERTEX)
    assert run(["run-node", PIPELINE, "--node", "Pusher", "--run-id", "run"]) == SettingsError.exit_code
    assert "give --set target=local to run it here" in capsys.readouterr().err


def test_the_job_of_a_run_is_complete_and_compiled_alike_twice(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_modules(storage, PIPELINE, pipeline_folder(PIPELINE), A, Scope.MODULES)
    begun = start_run(PIPELINE, storage, "run", settings=VERTEX)
    assert run(["run", "spec", PIPELINE, "--run-id", "run", "--project", "numbers", "--json"]) == 0
    told = document(capsys)
    assert (told["run"], told["spec"]) == (begun.run, f"runs/{begun.run}/vertex.json")
    written = storage.read(told["spec"])
    job = json.loads(written)
    assert job["runtimeConfig"]["gcsOutputDirectory"] == f"{storage.root}/runs/artifacts"
    assert job["runtimeConfig"]["parameterValues"] == told["parameters"]
    values = told["parameters"]
    names = {split: [f"{split}/data-00000-of-00001.tfrecord.gz"] for split in ("train", "eval")}
    span = {"span": 1, "folder": f"{storage.root}/spans/span-1", **names}
    assert json.loads(values["files"]) == {"window": [1], "comparison": [1], "spans": [span]}
    assert storage.read(values["schema_file"].removeprefix(f"{storage.root}/"))
    pushed = {"filesystem": {"base_directory": f"{storage.root}/runs/{begun.run}/pushed"}}
    assert json.loads(values["push_destination"]) == pushed
    trainer = job["pipelineSpec"]["deploymentSpec"]["executors"]["Trainer_executor"]["container"]
    assert trainer["image"] == IMAGE
    assert trainer["command"][-2:] == ["--modules", f"{storage.root}/modules/{A}"]
    assert run(["run", "spec", PIPELINE, "--run-id", "run", "--project", "numbers"]) == 0
    assert storage.read(told["spec"]) == written


def test_a_local_run_has_no_job(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    start_run(PIPELINE, storage, "run")
    assert run(["run", "spec", PIPELINE, "--run-id", "run", "--project", "numbers"]) == ConflictError.exit_code
    assert "was started with target local" in capsys.readouterr().err


@pytest.fixture
def finished(trained_home: Path, storage: Storage) -> Storage:
    """A bucket in which the components of a run on Vertex AI, "first", wrote what the local run of that name did."""
    here = trained_home / "storage" / PIPELINE
    outputs = run_outputs(LockedMetadata(SqliteFile(metadata_file_in(trained_home))), read_run_in(here))
    for file in (here / layout.RUNS).rglob("*"):
        if file.is_file() and file.name != layout.RUN:
            storage.upload(file, file.relative_to(here).as_posix())
    begun = start_run(PIPELINE, storage, "first", settings=VERTEX)
    there = {
        node: {key: uri.replace(str(here), storage.root) for key, uri in given.items()}
        for node, given in outputs.items()
    }
    with_outputs(storage, begun.run, there)
    return storage


def metadata_file_in(home: Path) -> Path:
    return home / "metadata" / metadata_file(PIPELINE).name


def read_run_in(folder: Path) -> str:
    [found] = [file.parent.name for file in (folder / layout.RUNS).glob(f"first*/{layout.RUN}")]
    return found


def with_outputs(storage: Storage, name: str, outputs: dict[str, dict[str, str]]) -> None:
    record = RunOutputs(job="projects/p/locations/l/pipelineJobs/j", outputs=outputs)
    storage.write(layout.run(name, layout.RUN_OUTPUTS), record.to_json())


@pytest.mark.slow
def test_a_blessed_run_on_vertex_becomes_a_release_that_does_not_serve_yet(
    finished: Storage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["release", "publish", PIPELINE, "--run-id", "first", "--no-serve", "--json"]) == 0
    assert document(capsys)["version"] == 1
    assert releases.serving(finished) is None
    record = releases.read_release(finished, 1)
    assert record.metrics["accuracy"] >= 0.8
    assert sum(json.loads(finished.read(layout.release_reference(1)))["predicted"].values()) == 100
    assert publish(PIPELINE, "first", serve=False) == record, "a retry finds it"
    assert finished.folders("models") == ["1"]

    assert run(["release", "serve", PIPELINE, "--version", "1", "--json"]) == 0
    assert document(capsys) == {"version": 1, "traffic": {"1": 100}}
    for number, (image, label) in enumerate(digits(400, 420)):
        file = tmp_path / "own" / label / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(image)
    scored = score_folder(finished, load_settings(PIPELINE), tmp_path / "own")
    assert (scored.version, scored.samples, scored.failed) == (1, 20, 0)
    assert scored.value >= 0.75


@pytest.mark.slow
def test_a_run_whose_model_was_not_blessed_releases_none(finished: Storage) -> None:
    name = read_run(finished, "first").run
    outputs = RunOutputs.from_json(finished.read(layout.run(name, layout.RUN_OUTPUTS))).outputs
    blessing = f"{layout.ARTIFACTS}/Comparison/blessing/other"
    finished.write(f"{blessing}/NOT_BLESSED", b"")
    outputs["Comparison"]["blessing"] = finished.uri(blessing)
    with_outputs(finished, name, outputs)
    assert publish(PIPELINE, "first", serve=False) is None
    assert releases.versions(finished) == []


@pytest.mark.slow
def test_a_run_is_not_finished_before_its_outputs_are_there(finished: Storage) -> None:
    name = read_run(finished, "first").run
    finished.delete(layout.run(name, layout.RUN_OUTPUTS))
    with pytest.raises(NotFoundError, match=r"is not finished on Vertex AI: .*outputs\.json is missing"):
        publish(PIPELINE, "first")
    with_outputs(finished, name, {"Trainer": {"model": finished.uri("runs/artifacts/model")}})
    with pytest.raises(NotFoundError, match="Pusher is not done"):
        publish(PIPELINE, "first")


@pytest.mark.slow
@pytest.mark.parametrize(
    "place", ["gs://another/bucket", "gs://{root}-of-others/blessing", "{uri}/../../others", "/etc"]
)
def test_outputs_outside_of_the_pipelines_storage_are_refused(finished: Storage, place: str) -> None:
    name = read_run(finished, "first").run
    outputs = RunOutputs.from_json(finished.read(layout.run(name, layout.RUN_OUTPUTS))).outputs
    outputs["Evaluator"]["blessing"] = place.format(root=finished.root.removeprefix("gs://"), uri=finished.root)
    with_outputs(finished, name, outputs)
    with pytest.raises(DataError, match="is not in this pipeline's storage"):
        publish(PIPELINE, "first")
