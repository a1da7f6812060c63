"""The tasks around a checkout, with real settings, repositories and commands."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from respan.git import ensure_checkout
from respan.operators.checkout import CheckoutCommandOperator, CloneOperator

from ml.settings import load_settings
from tests.dags.git.repositories import Repository
from tests.dags.pipeline_folders import write_pipeline

RUN: Any = {"run_id": "manual__1"}


@pytest.fixture(autouse=True)
def pipeline(respan_home: Path, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pipeline `tried`, whose remote is the test's repository; a command of TFX's only tells its arguments."""
    monkeypatch.setenv("RESPAN_WARM_IDLE_SECONDS", "0")
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path / "pipelines"))
    arguments = tmp_path / "tell-arguments"
    arguments.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    arguments.chmod(0o755)
    monkeypatch.setenv("RESPAN_TFX_PYTHON", str(arguments))
    text = f"kind: image_classification\nci_cd:\n  remote: {repository.bare}\n"
    return write_pipeline(tmp_path / "pipelines", "tried", text)


def clone(revision: str, previous: str | None = None) -> Any:
    return CloneOperator(task_id="clone", pipeline="tried", revision=revision, previous=previous).execute(RUN)


def command(revision: str, *arguments: str, **options: Any) -> Any:
    operator = CheckoutCommandOperator(
        task_id="step", pipeline="tried", revision=revision, arguments=arguments or ["ci-cd", "x", "tried"], **options
    )
    return operator.execute(RUN)


def test_cloning_tells_how_much_changed_and_the_first_paths(
    repository: Repository, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first = repository.push({"a": "1"})
    second = repository.push({f"b/{n:02}": "1" for n in range(25)})
    told = clone(second, first)
    assert (told["revision"], told["previous"], told["changed_files"]) == (second, first, 25)
    assert told["changed"] == [f"b/{n:02}" for n in range(20)]
    assert json.loads(json.dumps(told)) == told
    assert "fetched from the remote" in caplog.text
    assert f"changed since {first}: 25" in capsys.readouterr().out


@pytest.mark.parametrize("nothing", [None, "", "None"])
def test_cloning_without_a_previous_revision(repository: Repository, nothing: str | None) -> None:
    revision = repository.push({"a": "1"})
    assert clone(revision, nothing) == {
        "revision": revision,
        "previous": None,
        "changed_files": None,
        "changed": None,
    }


def test_a_revision_that_is_not_there_fails_at_once_a_remote_that_is_not_is_tried_again(
    repository: Repository,
) -> None:
    repository.push({"a": "1"})
    with pytest.raises(AirflowFailException, match="has no commit"):
        clone("0" * 40)
    with pytest.raises(AirflowFailException, match="is no revision"):
        clone("main")
    repository.bare.rename(repository.bare.with_name("moved"))
    with pytest.raises(AirflowException, match="is no git repository") as raised:
        clone("1" * 40)
    assert not isinstance(raised.value, AirflowFailException)


def test_a_step_gets_the_checkout_its_revision_and_content(repository: Repository) -> None:
    revision = repository.push({"ml/a.py": "1", "other": "1"})
    arguments = command(revision)
    checkout = ensure_checkout(load_settings("tried"), RUN["run_id"], revision, None)
    pytests_own = ["conftest.py", "pyproject.toml", "pytest.ini", ".pytest.ini", "setup.cfg", "tox.ini"]
    content = checkout.content(["ml", "ml/pipelines", *pytests_own])
    added = ["--checkout", str(checkout.path), "--revision", revision, "--content", content, "--json"]
    assert arguments == ["-m", "ml", "ci-cd", "x", "tried", *added]


def test_content_is_the_same_until_a_path_that_counts_changes(repository: Repository) -> None:
    def content(files: dict[str, str | None], *paths: str) -> str:
        arguments = command(repository.push(files), content_paths=paths)
        return str(arguments[arguments.index("--content") + 1])

    first = content({"ml/a.py": "1", "tests/a.py": "1"})
    assert content({"tests/a.py": "2"}) == first
    with_tests = content({}, "tests")
    assert with_tests != content({"tests/a.py": "3"}, "tests")
    assert content({"pyproject.toml": ""}) != first
    assert content({"pyproject.toml": None, "conftest.py": ""}) != first


def test_with_a_previous_revision_a_step_gets_a_file_with_what_changed(repository: Repository) -> None:
    first = repository.push({"a": "1"})
    arguments = command(repository.push({"b": "1"}), previous=first)
    assert json.loads(Path(arguments[arguments.index("--changed") + 1]).read_text()) == ["b"]


def test_a_step_may_run_with_airflows_own_interpreter(repository: Repository, pipeline: Path) -> None:
    """``ci-cd copy-modules`` is a real step that needs no TFX; TFX's interpreter would tell its arguments instead."""
    sources = {f"ml/pipelines/tried/{file.name}": file.read_text("utf-8") for file in pipeline.glob("*.*")}
    revision = repository.push(dict(sources))
    told = command(revision, "ci-cd", "copy-modules", "tried", environment="airflow")
    assert (told["revision"], told["files"]) == (revision, len(sources))
