"""A push of a pipeline that brings its own kind: its tests, its modules."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ml.home import PROJECT
from tests.ml.own_model.test_by_the_page import WINE

pytestmark = pytest.mark.slow

REVISION = "a" * 40


def ci_cd(home: Path, step: str, checkout: Path, *more: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        "RESPAN_HOME": str(home),
        "RESPAN_PIPELINES": str(WINE.parent),
    }
    where = ("wine", "--checkout", str(checkout), "--revision", REVISION, *more, "--json")
    command = [sys.executable, "-m", "ml", "ci-cd", step, *where]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of a repository that holds nothing but the pipeline."""
    folder = tmp_path / "checkout"
    shutil.copytree(WINE, folder / "ml" / "pipelines" / "wine", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_its_tests_are_run_with_the_checkouts_kind(tmp_path: Path, checkout: Path) -> None:
    kind = checkout / "ml" / "pipelines" / "wine" / "kind.py"
    kind.write_text(kind.read_text("utf-8").replace('("json",)', '("csv",)'), "utf-8")
    done = ci_cd(tmp_path / "home", "test", checkout)
    assert done.returncode == 10, done.stderr[-2000:]
    last = done.stderr.splitlines()[-1]
    assert "test_the_samples_are_laid_out_like_the_inbox" in last
    assert "1 of 14" in last


def test_its_kind_is_shipped_with_its_modules(tmp_path: Path, checkout: Path) -> None:
    done = ci_cd(tmp_path / "home", "copy-modules", checkout, "--scope", "modules")
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["revision"] == REVISION
    shipped = tmp_path / "home" / "storage" / "wine" / "modules" / REVISION
    copied = {file.name for file in shipped.iterdir()}
    assert {"kind.py", "rows.py", "model.py", "settings.yaml"} <= copied
    assert "wine_test.py" not in copied
