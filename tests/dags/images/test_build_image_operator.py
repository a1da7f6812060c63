"""The task, with a real git repository, an engine, and a registry that asks for a login."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from respan.git import ensure_checkout
from respan.operators.build_image import BuildImageOperator

from ml.settings import load_settings
from tests.dags.git.repositories import Repository
from tests.dags.images.conftest import LOGIN
from tests.dags.images.engines_at_hand import EngineAtHand
from tests.dags.images.registry import Registry
from tests.dags.pipeline_folders import write_pipeline

RUN = {"run_id": "manual__2026-01-01T00:00:00+00:00"}
CODE = {"Dockerfile": "FROM scratch\nCOPY . /app\n", "dags/training.py": "print(1)\n"}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture(autouse=True)
def _pipelines(
    respan_home: Path, tmp_path: Path, repository: Repository, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {"conn_type": "http", "login": LOGIN[0], "password": LOGIN[1]}
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps(connection))
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path / "pipelines"))


@pytest.fixture
def configure(tmp_path: Path, repository: Repository, registry: Registry) -> Any:
    def write(**image: Any) -> None:
        section = {"repository": f"{registry.address}/team/respan", "connection": "registry", **image}
        ci_cd = json.dumps({"remote": str(repository.bare), "image": section})
        write_pipeline(tmp_path / "pipelines", "tried", f"kind: image_classification\nci_cd: {ci_cd}\n")

    return write


def build(revision: str) -> Any:
    return BuildImageOperator(task_id="build_image", pipeline="tried", revision=revision).execute({**RUN})  # type: ignore[typeddict-item]


def test_a_revisions_image_is_pushed_and_named_by_its_digest(
    engine: EngineAtHand, configure: Any, repository: Repository, registry: Registry
) -> None:
    configure(builder=engine.builder)
    revision = repository.push(CODE)
    built = build(revision)
    digest = registry.tags_of("team/respan")[revision]
    assert built == {
        "image": f"{registry.address}/team/respan@{digest}",
        "tag": f"{registry.address}/team/respan:{revision}",
        "reused": False,
    }
    labels = registry.labels(digest)
    assert labels["org.opencontainers.image.revision"] == revision
    assert labels["org.opencontainers.image.source"] == str(repository.bare)
    assert build(revision) == {**built, "reused": True}


def test_a_revision_with_the_same_files_reuses_the_image_another_doesnt(
    engine: EngineAtHand, configure: Any, repository: Repository
) -> None:
    configure(builder=engine.builder)
    first = build(repository.push(CODE))
    changed = build(repository.push({"dags/training.py": "print(2)\n"}))
    back = build(repository.push({"dags/training.py": "print(1)\n"}))
    assert (changed["reused"], back["reused"]) == (False, True)
    assert back["image"] == first["image"] != changed["image"]
    assert back["tag"] != first["tag"]


def test_what_tests_left_in_the_runs_checkout_is_not_in_the_image(
    engine: EngineAtHand, configure: Any, repository: Repository, registry: Registry
) -> None:
    configure(builder=engine.builder)
    revision = repository.push({**CODE, "Dockerfile": "FROM scratch\nCOPY planted.py /\n"})
    checkout = ensure_checkout(load_settings("tried"), RUN["run_id"], revision, None)
    (checkout.path / "planted.py").write_text("evil = True\n")
    with pytest.raises(AirflowFailException, match=r"step 2/\d: COPY planted.py /: "):
        build(revision)
    assert registry.tags == {}


def test_the_login_is_in_no_log_no_argument_and_no_file(
    engine: EngineAtHand,
    configure: Any,
    repository: Repository,
    registry: Registry,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While it pushes: all arguments and variables of all processes, and all files that it may have written."""
    import base64

    import psutil

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    encoded = base64.b64encode(":".join(LOGIN).encode())
    secrets = [LOGIN[1].encode(), encoded, LOGIN[1].encode().hex().encode()]
    seen: list[bytes] = []

    def look() -> None:
        for process in psutil.Process().children(recursive=True):
            for name in ("cmdline", "environ"):
                seen.append(Path(f"/proc/{process.pid}/{name}").read_bytes())
        seen.extend(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and not file.is_symlink())

    registry.before_manifest = look
    configure(builder=engine.builder)
    build(repository.push(CODE))
    # The connection itself comes from this process's environment.
    assert any(engine.builder.encode() in text for text in seen)
    assert any(b"push" in text for text in seen)
    logged = "".join(capfd.readouterr()).encode()
    assert b"push" in logged
    for secret in secrets:
        assert secret not in logged
        assert [text[:200] for text in seen if secret in text] == []


def test_no_builder_builds_nothing_and_asks_for_no_checkout(configure: Any) -> None:
    configure(builder="none")
    assert build("a" * 40) == {"image": None, "tag": None, "reused": False}


def test_a_missing_engine_is_named_and_not_retried(
    configure: Any, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_git = tmp_path / "bin"
    only_git.mkdir()
    for folder in os.environ["PATH"].split(os.pathsep):
        if (Path(folder) / "git").exists():
            (only_git / "git").symlink_to(Path(folder) / "git")
            break
    configure(builder="buildah")
    revision = repository.push(CODE)
    monkeypatch.setenv("PATH", str(only_git))
    with pytest.raises(AirflowFailException, match=r"builder is buildah, and there is no such program on PATH"):
        build(revision)


def test_a_connection_that_is_missing_or_lacks_a_password_is_named(
    configure: Any, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(builder="podman", connection="unknown")
    revision = repository.push(CODE)
    with pytest.raises(AirflowFailException, match="there is no Airflow connection 'unknown'"):
        build(revision)
    monkeypatch.setenv("AIRFLOW_CONN_UNKNOWN", "http://only-a-login@")
    with pytest.raises(AirflowFailException, match="needs the registry's login and password"):
        build(revision)


def test_a_registry_in_trouble_is_left_to_a_retry(
    engine: EngineAtHand, configure: Any, repository: Repository, registry: Registry
) -> None:
    configure(builder=engine.builder)
    revision = repository.push(CODE)
    registry.broken = True
    with pytest.raises(AirflowException, match="can't be reached") as raised:
        build(revision)
    assert not isinstance(raised.value, AirflowFailException)
    registry.broken = False
    assert build(revision)["image"]
