"""The README's own commands for a new pipeline, typed as it prints them: from a copied folder to a release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ml.home import PROJECT
from tests.ml.pages import commands_of, fresh_clone, type_in

README = (PROJECT / "README.md").read_text("utf-8")

#: What a user may ask afterwards.
QUESTIONS = (
    "python -m ml settings flowers\n",
    "python -m ml release show flowers --json\n",
    "python -m ml audit flowers --json\n",
    "python -m ml score flowers var/storage/flowers/archive/first-* --json\n",
)


def document(output: str) -> dict[str, Any]:
    """The JSON document in a command's output, among the lines of its progress."""
    [line] = [line for line in output.splitlines() if line.startswith("{")]
    loaded: dict[str, Any] = json.loads(line)
    return loaded


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_commands_of_the_readme_release_a_copied_pipeline_from_its_inbox(tmp_path: Path) -> None:
    blocks = [block.commands for block in commands_of(README) if "flowers" in block.commands]
    assert len(blocks) == 2
    typed = type_in([*blocks, *QUESTIONS], fresh_clone(tmp_path / "respan"), tmp_path / "home")
    release, audit, score = map(document, typed[-3:])
    assert release["version"] == 1
    assert (audit["collected"], audit["archived"], audit["lost"], audit["duplicated"]) == (480, 480, 0, 0)
    assert score["value"] >= 0.8
