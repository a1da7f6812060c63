"""docs/own-model.md followed as by a new user: its code is the folder's, and its commands lead to a release."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ml.home import PROJECT
from ml.releases import serving
from ml.storage import open_storage
from tests.ml.pages import commands_of, fresh_clone, type_in

PAGE = (PROJECT / "docs" / "own-model.md").read_text("utf-8")
WINE = Path(__file__).with_name("pipelines") / "wine"

QUOTED = re.findall(r"^```python (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

#: Written by commands of the page.
GENERATED = ("columns.py", "schema.pbtxt", "graph.json")


def test_the_page_quotes_the_folder() -> None:
    assert {file for file, _ in QUOTED} == {"settings.py", "kind.py", "rows.py", "preprocessing.py", "model.py"}
    assert [file for file, code in QUOTED if code not in (WINE / file).read_text("utf-8")] == []


def test_the_page_names_every_fact_and_part_that_a_kind_has() -> None:
    from ml.kinds.classification.base import Classification

    public = {name for name in dir(Classification) if not name.startswith("_")} | set(Classification.__annotations__)
    assert [name for name in sorted(public) if f"`{name}" not in PAGE] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_commands_of_the_page_lead_from_a_copied_folder_to_an_evaluated_release(tmp_path: Path) -> None:
    clone, blocks = fresh_clone(tmp_path / "respan"), commands_of(PAGE)
    outputs = type_in([block.commands for block in blocks], clone, tmp_path / "home")
    for block, output in zip(blocks, outputs, strict=True):
        assert [line for line in block.shown if line not in output.splitlines()] == [], output
    for name in GENERATED:
        made = (clone / "my_pipelines" / "wine" / name).read_text("utf-8")
        assert made == (WINE / name).read_text("utf-8"), f"{name} in {WINE} is not what the commands write"
    spec = json.loads((clone / "wine.json").read_text("utf-8"))
    assert "ml.pipelines.wine.model.run_fn" in json.dumps(spec)

    storage = clone / "var" / "storage" / "wine"
    current = serving(open_storage(f"file://{storage}"))
    assert current is not None
    assert current.version == 1
    [report] = [json.loads(file.read_text("utf-8")) for file in storage.glob("batches/second-*/evaluation.json")]
    assert report["metric"]["value"] >= 0.85
    assert [file.name for file in storage.glob("quarantine/*/samples/class_0/*")] == ["broken.json"]
    archived = len(list(storage.glob("archive/*/class_*/*.json")))
    assert (archived, report["counts"]["evaluated"]) == (178, len(list(clone.glob("rows/tuesday/*/wine-*.json"))))
