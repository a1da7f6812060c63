"""docs/own-model.md followed as by a new user: its code is the folder's, and its commands lead to a release."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ml.home import PROJECT
from ml.pipeline_modules import bind_pipeline
from ml.releases import serving
from ml.storage import open_storage

PAGE = (PROJECT / "docs" / "own-model.md").read_text("utf-8")
WINE = Path(__file__).with_name("pipelines") / "wine"

QUOTED = re.findall(r"^```python (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

#: Samples of the first batch; the others are the second's.
FIRST = 120


def collect(folder: Path) -> None:
    """What this user has collected: rows of one day, and of the next, with a file among them that is no row."""
    bind_pipeline("wine", WINE)
    from ml.pipelines.wine.sample_data import write_samples  # type: ignore[import-not-found,unused-ignore]

    (folder / "all").mkdir(parents=True)
    write_samples(folder / "all")
    files = sorted((folder / "all").rglob("*.json"), key=lambda file: (int(file.stem[-3:]) * 7) % 178)
    for position, file in enumerate(files):
        day = folder / ("monday" if position < FIRST else "tuesday") / file.parent.name
        day.mkdir(parents=True, exist_ok=True)
        file.rename(day / file.name)
    (folder / "tuesday" / "class_0" / "broken.json").write_text('{"alcohol": "much"}')


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
    project, home = tmp_path / "project", tmp_path / "home"
    collect(project / "rows")
    for name in ("tests", "pyproject.toml"):
        (project / name).symlink_to(PROJECT / name)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "PYTHONPATH": str(PROJECT),
        "RESPAN_HOME": str(home),
    }
    for block in (f"export RESPAN_PIPELINES=$PWD/my_pipelines\n{block}" for block in COMMANDS):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], env=environment, cwd=project, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    for name in ("schema.pbtxt", "graph.json"):
        made = (project / "my_pipelines" / "wine" / name).read_text("utf-8")
        assert made == (WINE / name).read_text("utf-8"), f"{name} in {WINE} is not what the commands write"
    spec = json.loads((project / "wine.json").read_text("utf-8"))
    assert "ml.pipelines.wine.model.run_fn" in json.dumps(spec)

    storage = home / "storage" / "wine"
    current = serving(open_storage(f"file://{storage}"))
    assert current is not None
    assert current.version == 1
    [report] = [json.loads(file.read_text("utf-8")) for file in storage.glob("batches/second-*/evaluation.json")]
    assert report["counts"]["evaluated"] == 178 - FIRST
    assert report["metric"]["value"] >= 0.85
    assert [file.name for file in storage.glob("quarantine/*/samples/class_0/*")] == ["broken.json"]
    assert len(list(storage.glob("archive/*/class_*/*.json"))) == 178
