"""A model that is trained with a revision is that revision's: its settings, its schema and its modules."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from ml.ci_cd.modules import copy_modules
from ml.ci_cd.records import Scope
from ml.home import PROJECT, pipeline_folder, pipeline_storage
from ml.publishing import publish
from ml.runs import code_of, read_run, start_run
from ml.storage import Storage
from ml.tfx.running import local_run
from tests.ml.tfx.digits_pipeline import FAST, PIPELINE, run_all, write_digits_span

pytestmark = pytest.mark.slow

A, B = "a" * 40, "b" * 40
IMAGE = "registry.example/respan@sha256:1"

#: Revision B's model.py gives every model one output more, which no digit has.
WIDER = ("classes=len(window.classes),", "classes=len(window.classes) + 1,")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    """A storage with a span of digits and two revisions: A is the installed code, B another ``model.py``."""
    folder = tmp_path_factory.mktemp("revisions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESPAN_HOME", str(folder / "home"))
        patch.delenv("RESPAN_STORAGE", raising=False)
        write_digits_span(1, 0, 400)
        storage = pipeline_storage(PIPELINE)
        installed, changed = pipeline_folder(PIPELINE), folder / "B" / PIPELINE
        copy_modules(storage, PIPELINE, installed, A, Scope.MODULES)
        shutil.copytree(installed, changed)
        model = (changed / "model.py").read_text()
        assert model.count(WIDER[0]) == 1
        (changed / "model.py").write_text(model.replace(*WIDER))
        copy_modules(storage, PIPELINE, changed, B, Scope.MODULES, IMAGE)
        yield storage


def train(storage: Storage, run_id: str, revision: str | None = None) -> dict[str, str]:
    """Node → "succeeded" or "cached"."""
    settings = {**FAST, "training.blessing_max_loss": "1.0"}
    run = start_run(PIPELINE, storage, run_id, [1], settings, revision=revision)
    with code_of(run, storage):
        return run_all(local_run(run))


def outputs(storage: Storage, version: int) -> int:
    """How many probabilities the released model gives."""
    import tensorflow as tf

    model = tf.saved_model.load(storage.uri(f"models/{version}"))
    probabilities = model.signatures["serving_examples"].structured_outputs["probabilities"]
    return int(probabilities.shape[-1])


def test_each_release_has_the_model_of_its_revision_and_names_it(shipped: Storage) -> None:
    train(shipped, "with A", A)
    first = publish(PIPELINE, "with A")
    states = train(shipped, "with B", B)
    second = publish(PIPELINE, "with B")
    assert first is not None
    assert second is not None
    assert (outputs(shipped, 1), outputs(shipped, 2)) == (10, 11)
    assert [(release.revision, release.image) for release in (first, second)] == [(A, None), (B, IMAGE)]
    assert first.code != second.code
    assert states["Trainer"] == "succeeded", "another model.py is another training"
    assert states["ImportExampleGen"] == "cached", "the data is the same"


def test_the_next_run_follows_the_version_that_serves_and_comes_from_the_cache(shipped: Storage) -> None:
    assert train(shipped, "the next")["Trainer"] == "cached"
    assert read_run(shipped, "the next").revision == B


def test_unchanged_sources_come_from_the_cache_under_another_revision(shipped: Storage) -> None:
    copy_modules(shipped, PIPELINE, pipeline_folder(PIPELINE), "c" * 40, Scope.WHOLE)
    states = train(shipped, "with C", "c" * 40)
    assert (states["Transform"], states["Trainer"]) == ("cached", "cached")


def test_runs_of_two_revisions_in_one_process_keep_to_their_own(shipped: Storage) -> None:
    """As in the warm process, but closer: not even a fork lies between them."""
    settings = {**FAST, "training.seed": "7", "training.blessing_max_loss": "1.0"}
    runs = {}
    for revision in (A, B):
        run = start_run(PIPELINE, shipped, f"beside {revision}", [1], settings, revision=revision)
        with code_of(run, shipped):
            runs[revision] = local_run(run)
    states: dict[str, dict[str, str]] = {A: {}, B: {}}
    for node in runs[A].nodes:
        for revision, compiled in runs.items():
            states[revision][node] = compiled.run_node(node).state
    assert states[A]["Trainer"] == states[B]["Trainer"] == "succeeded"
    for revision, width in ((A, 10), (B, 11)):
        record = publish(PIPELINE, f"beside {revision}", serve=False)
        assert record is not None
        assert outputs(shipped, record.version) == width


def command(*arguments: str) -> Any:
    """One command as Airflow runs it, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "ml", *arguments, "--json"],
        cwd=PROJECT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_the_commands_train_and_release_with_the_revision(shipped: Storage) -> None:
    options = [f"--set={key}={value}" for key, value in FAST.items()]
    started = command(
        "run", "start", PIPELINE, "--run-id=by hand", "--window=1", f"--revision={B}", "--cause=code_change", *options
    )
    assert (started["revision"], started["image"], started["cause"]) == (B, IMAGE, "code_change")
    command("train", PIPELINE, "--run-id", "by hand")
    published = command("release", "publish", PIPELINE, "--run-id", "by hand")
    assert (published["revision"], published["image"]) == (B, IMAGE)
    assert outputs(shipped, published["version"]) == 11
    shown = command("release", "show", PIPELINE)
    assert (shown["version"], shown["revision"], shown["image"]) == (published["version"], B, IMAGE)
    assert command("release", "list", PIPELINE)["releases"][-1] == {
        "version": published["version"],
        "revision": B,
        "image": IMAGE,
    }
