"""Which code a training run is given, and that it is really that code."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ml import layout, releases
from ml.ci_cd.modules import copy_modules
from ml.ci_cd.records import Scope
from ml.errors import ConflictError, NotFoundError, SettingsError
from ml.home import pipeline_folder
from ml.records import ReleaseRecord, now
from ml.runs import INSTALLED, TrainingRun, code_of, default_revision, read_run, start_run
from ml.settings import code_version
from ml.storage.local import LocalStorage
from tests.unit.ci_cd.module_folders import A, B, write_folder
from tests.unit.data.published_spans import publish_span

PIPELINE = "flowers"
WIDE = "kind: image_classification\ndata: {window_spans: 3}\n"
IMAGE = "registry.example/respan@sha256:1"
Ship = Callable[..., None]


@pytest.fixture
def installed(respan_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the installed pipeline, whose runs read two spans."""
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path / "installed"))
    return write_folder(tmp_path / "installed" / PIPELINE)


@pytest.fixture
def storage(tmp_path: Path, installed: Path) -> LocalStorage:
    """With three complete spans."""
    storage = LocalStorage(tmp_path / "storage").child(PIPELINE)
    for number in (1, 2, 3):
        publish_span(storage, number, {f"{number}-a": "cat", f"{number}-b": "dog"}, {f"{number}-c": "cat"})
    return storage


@pytest.fixture
def ship(storage: LocalStorage, tmp_path: Path) -> Ship:
    """Ships a revision whose runs read three spans."""

    def ship(revision: str, *, nodes: int = 2, image: str | None = None) -> None:
        folder = write_folder(tmp_path / revision / PIPELINE, settings=WIDE, nodes=nodes)
        copy_modules(storage, PIPELINE, folder, revision, Scope.MODULES, image)

    return ship


def release(storage: LocalStorage, version: int, revision: str | None) -> None:
    record = ReleaseRecord(
        version=version,
        run=f"r{version}",
        window=[1],
        created=now(),
        metrics={},
        classes=[],
        code="",
        revision=revision,
    )
    releases.record_release(storage, record)
    storage.write(f"{layout.model(version)}/saved_model.pb", b"model")
    releases.serve(storage, version, "test")


def start(storage: LocalStorage, run_id: str = "run", revision: str | None = None) -> TrainingRun:
    return start_run(PIPELINE, storage, run_id, revision=revision)


def test_a_run_reads_the_settings_of_its_revision_and_records_revision_and_image(
    storage: LocalStorage, ship: Ship
) -> None:
    ship(A, image=IMAGE)
    run = start(storage, revision=A)
    assert run == read_run(storage, "run")
    assert (run.window, run.revision, run.image) == ([1, 2, 3], A, IMAGE)
    assert run.code != code_version(PIPELINE)


def test_without_a_shipped_revision_a_run_has_the_installed_code(storage: LocalStorage) -> None:
    run = start(storage)
    assert (run.window, run.revision, run.image) == ([2, 3], None, None)
    assert run.code == code_version(PIPELINE)


def test_the_same_files_are_the_same_code_whether_installed_or_shipped(storage: LocalStorage, installed: Path) -> None:
    copy_modules(storage, PIPELINE, installed, A, Scope.MODULES)
    assert start(storage, revision=A).code == code_version(PIPELINE)


def test_before_the_first_release_the_shipped_revision_is_the_default(storage: LocalStorage, ship: Ship) -> None:
    assert default_revision(storage) is None
    ship(A)
    ship(B)
    assert start(storage).revision == B


def test_the_revision_of_the_version_that_serves_is_the_default(storage: LocalStorage, ship: Ship) -> None:
    ship(A)
    release(storage, 1, A)
    ship(B)  # whose candidate was never released
    assert start(storage).revision == A


def test_a_revision_that_was_rolled_back_does_not_come_back_by_itself(storage: LocalStorage, ship: Ship) -> None:
    ship(A)
    ship(B)
    release(storage, 1, A)
    release(storage, 2, B)
    assert default_revision(storage) == B
    releases.rollback(storage)
    assert default_revision(storage) == A


def test_a_version_trained_with_the_installed_code_is_followed_by_one(storage: LocalStorage, ship: Ship) -> None:
    release(storage, 1, None)
    ship(A)
    assert start(storage).revision is None


def test_the_installed_code_can_be_asked_for(storage: LocalStorage, ship: Ship) -> None:
    ship(A)
    release(storage, 1, A)
    run = start(storage, revision=INSTALLED)
    assert (run.revision, run.window) == (None, [2, 3])


def test_without_its_modules_the_serving_revision_is_no_default(storage: LocalStorage, ship: Ship) -> None:
    release(storage, 1, A)
    assert default_revision(storage) is None
    with pytest.raises(NotFoundError, match="never copied"):
        start(storage, revision=A)
    assert not storage.exists(layout.RUNS)


def test_a_started_run_keeps_its_revision(storage: LocalStorage, ship: Ship) -> None:
    ship(A)
    ship(B)
    first = start(storage, revision=A)
    assert start(storage) == first
    assert start(storage, revision=A) == first
    for other in (B, INSTALLED):
        with pytest.raises(ConflictError, match=f"started with revision {A}, not {other}"):
            start(storage, revision=other)
    start(storage, "plain", INSTALLED)
    with pytest.raises(ConflictError, match=f"started with revision installed, not {A}"):
        start(storage, "plain", A)


def test_a_revision_with_other_components_is_refused_before_anything_starts(storage: LocalStorage, ship: Ship) -> None:
    ship(A, nodes=3)
    with pytest.raises(ConflictError, match="install that revision first") as raised:
        start(storage, revision=A)
    assert "\n" not in str(raised.value)
    assert list(storage.list(layout.RUNS)) == []


@pytest.mark.parametrize("text", ["main", "--json", "", "../x"])
def test_only_a_full_commit_id_can_be_trained_with(storage: LocalStorage, text: str) -> None:
    with pytest.raises(SettingsError, match="is no revision"):
        start(storage, revision=text)


def test_a_runs_code_is_in_place_within_and_gone_afterwards(
    storage: LocalStorage, ship: Ship, installed: Path, respan_home: Path
) -> None:
    ship(A)
    run = start(storage, revision=A)
    before = dict(os.environ)
    with code_of(run, storage):
        assert pipeline_folder(PIPELINE) == respan_home / "modules" / PIPELINE / A / PIPELINE
        assert code_version(PIPELINE) == run.code
        assert os.environ["RESPAN_PIPELINES"].split(os.pathsep)[1:] == [str(installed.parent)]
    assert dict(os.environ) == before
    assert pipeline_folder(PIPELINE) == installed


def test_a_run_of_the_installed_code_finds_it_within(storage: LocalStorage, ship: Ship, installed: Path) -> None:
    ship(A)
    with code_of(start(storage, revision=INSTALLED), storage):
        assert pipeline_folder(PIPELINE) == installed
