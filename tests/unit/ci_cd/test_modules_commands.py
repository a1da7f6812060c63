"""``ci-cd copy-modules`` on a checkout, and ``run start`` with what it copied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ml import layout
from ml.ci_cd.modules import copied_revisions
from ml.ci_cd.revisions import shipped
from ml.cli import run
from ml.home import pipeline_storage
from ml.records import Span, now
from ml.runs import read_run
from ml.storage import Storage
from tests.unit.ci_cd.module_folders import A, B, write_folder

IMAGE = "registry.example/respan@sha256:1"


@pytest.fixture
def storage(respan_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """Of an installed pipeline whose repository has it in ``models/``, with one span."""
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path / "installed"))
    settings = "kind: image_classification\nci_cd: {pipelines_path: code/models}\n"
    write_folder(tmp_path / "installed" / "flowers", settings=settings)
    storage = pipeline_storage("flowers")
    span = Span(span=1, batch="b", created=now(), classes={}, train=1, eval=1, duplicates=0, refused=0)
    storage.write(layout.span(1, layout.SPAN), span.to_json())
    return storage


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    write_folder(tmp_path / "checkout" / "code" / "models" / "flowers")
    return tmp_path / "checkout"


def copy(checkout: Path, *options: str, revision: str = A) -> int:
    return run(
        ["ci-cd", "copy-modules", "flowers", "--checkout", str(checkout), "--revision", revision, "--json", *options]
    )


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_checkouts_modules_are_copied_and_a_run_starts_with_them(
    storage: Storage, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert copy(checkout, "--scope", "whole", "--image", IMAGE, "--content", "0" * 64) == 0
    result = told(capsys)
    assert (result["revision"], result["scope"], result["image"], result["files"]) == (A, "whole", IMAGE, 5)
    assert run(["run", "start", "flowers", "--run-id=x", f"--revision={A}", "--cause=code_change", "--json"]) == 0
    started = told(capsys)
    assert started == {
        "run": read_run(storage, "x").run,
        "window": [1],
        "cause": "code_change",
        "reason": "its code changed",
        "revision": A,
        "image": IMAGE,
        "target": "local",
        "champion": None,
        "lost_classes": [],
    }


def test_an_empty_image_is_none(storage: Storage, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert copy(checkout, "--image", "") == 0
    assert told(capsys)["image"] is None


def _folder_behind_a_link(checkout: Path) -> None:
    (checkout / "code").rename(checkout.parent / "elsewhere")
    (checkout / "code").symlink_to(checkout.parent / "elsewhere")


def _linked_folder(checkout: Path) -> None:
    folder = checkout / "code" / "models" / "flowers"
    folder.rename(checkout / "moved")
    folder.symlink_to(checkout / "moved")


def _gone(checkout: Path) -> None:
    (checkout / "code" / "models").rename(checkout / "code" / "others")


@pytest.mark.parametrize("spoil", [_folder_behind_a_link, _linked_folder, _gone])
def test_a_checkout_without_the_folder_itself_is_refused(
    storage: Storage, checkout: Path, capsys: pytest.CaptureFixture[str], spoil: Any
) -> None:
    spoil(checkout)
    assert copy(checkout) == 5
    assert "has no folder code/models/flowers" in capsys.readouterr().err
    assert (copied_revisions(storage), shipped(storage)) == ([], None)


def test_a_checkout_may_itself_be_reached_through_a_link(storage: Storage, checkout: Path) -> None:
    link = checkout.parent / "link"
    link.symlink_to(checkout)
    assert copy(link) == 0


def test_what_cannot_be_shipped_or_started_is_one_line_and_an_exit_code(
    storage: Storage, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert copy(checkout, revision="main") == 2
    assert run(["run", "start", "flowers", "--run-id=x", f"--revision={B}"]) == 5
    assert run(["run", "start", "flowers", "--run-id=x", "--revision=main"]) == 2
    assert run(["run", "start", "unknown", "--run-id=x"]) == 5
    assert run(["run", "start", "flowers", "--run-id=x", "--set=nonsense"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("error: ") for line in lines)
    assert list(storage.list(layout.RUNS)) == []
