"""The README's own commands, run as it says, on a pipeline that is a copy of the folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ml.home import PROJECT
from tests.ml.tfx.digits_pipeline import digits

BLOCK = re.compile(r"^python -m ml (batch freeze flowers.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """The arguments of each line in the README's block of commands that train without Airflow."""
    found = BLOCK.search((PROJECT / "README.md").read_text("utf-8"))
    assert found, "the README has lost its commands"
    lines = ("python -m ml " + found[1]).strip().splitlines()
    return [line.split("#")[0].removeprefix("python -m ml").split() for line in lines]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_commands_of_the_readme_release_a_copied_pipeline_from_its_inbox(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "ml" / "pipelines" / "image_classification", tmp_path / "pipelines" / "flowers")
    inbox = tmp_path / "home" / "storage" / "flowers" / "inbox"
    for number, (image, label) in enumerate(digits(0, 500)):
        file = inbox / label / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(image)
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        "RESPAN_HOME": str(tmp_path / "home"),
        "RESPAN_PIPELINES": str(tmp_path / "pipelines"),
    }

    def ml(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ml", *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr[-2000:]}"
        return done.stdout

    ml("settings", "flowers")
    ml("compile", "flowers")
    assert len(commands()) == 5
    for arguments in commands():
        ml(*arguments)
    assert json.loads(ml("release", "show", "flowers", "--json"))["version"] == 1
    audit = json.loads(ml("audit", "flowers", "--json"))
    assert (audit["collected"], audit["archived"], audit["lost"], audit["duplicated"]) == (500, 500, 0, 0)
    [archived] = (tmp_path / "home" / "storage" / "flowers" / "archive").iterdir()
    assert json.loads(ml("score", "flowers", str(archived), "--json"))["value"] >= 0.8
