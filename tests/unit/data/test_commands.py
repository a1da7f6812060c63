"""The commands as a person or a task calls them, in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ml import layout
from ml.home import PROJECT
from ml.names import safe_id
from ml.records import now
from ml.runs import TrainingRun
from ml.spans.truths import LeftOut
from ml.storage.local import LocalStorage
from tests.unit.data.test_releases import served

PIPELINE = "image_classification"


class Respan:
    """``python -m ml`` on a storage of its own."""

    def __init__(self, home: Path, pipeline: str = PIPELINE) -> None:
        self._environment = {**os.environ, "RESPAN_HOME": str(home), "PYTHONPATH": str(PROJECT)}
        self._environment["RESPAN_PIPELINES"] = str(home / "pipelines")
        self._environment.pop("RESPAN_STORAGE", None)
        self.storage = LocalStorage(home / "storage").child(pipeline)

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What the command printed on standard output; on standard error where it is to fail."""
        done = subprocess.run(
            [sys.executable, "-m", "ml", *arguments],
            env=self._environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout

    def json(self, *arguments: str) -> Any:
        printed = self(*arguments, "--json")
        assert printed.count("\n") == 1
        return json.loads(printed)


@pytest.fixture
def respan(tmp_path: Path) -> Respan:
    return Respan(tmp_path)


@pytest.mark.slow
def test_a_batch_goes_from_the_inbox_to_the_archive(respan: Respan) -> None:
    for name in ("3/a.png", "3/b.png", "3/c.png", "3/d.png", "8/e f.png", "readme.txt"):
        respan.storage.write(f"inbox/{name}", b"image")
    frozen = respan.json("batch", "freeze", PIPELINE, "--run-id", "manual__2026-11-21")
    assert frozen == {"batch": frozen["batch"], "samples": 5, "refused": 1, "released": None}
    assert frozen["batch"] in respan("batch", "freeze", PIPELINE, "--run-id", "another", code=4)
    shown = respan.json("batch", "show", PIPELINE, frozen["batch"])
    assert shown["labels"] == {"3": 4, "8": 1}
    assert list(shown["reasons"].values()) == [1]
    listed = respan.json("batch", "list", PIPELINE)
    assert (listed["open"], listed["batches"][0]["id"]) == (frozen["batch"], frozen["batch"])
    settled = respan.json("batch", "settle", PIPELINE, frozen["batch"])
    assert settled == {"batch": frozen["batch"], "archived": 5, "quarantined": 1, "vanished": 0}
    counts = respan.json("audit", PIPELINE)
    assert set(counts) == {
        "collected", "inbox", "batch", "archived", "quarantined", "vanished", "lost", "duplicated", "incomplete",
        "corrected",
        "ignored",
    }  # fmt: skip
    assert (counts["collected"], counts["archived"]) == (6, 5)
    respan.storage.delete(f"archive/{frozen['batch']}/3/a.png")
    message = respan("audit", PIPELINE, code=3)
    assert "lost: '3/a.png'" in message
    assert "Traceback" not in message


@pytest.mark.slow
def test_what_waits_for_its_counterpart_is_told_at_the_freeze_and_by_the_audit(tmp_path: Path) -> None:
    folder = tmp_path / "pipelines" / "cells"
    folder.mkdir(parents=True)
    (folder / "settings.yaml").write_text(
        "description: Cells.\nkind: semantic_segmentation\nmodel:\n  classes:\n"
        '    - {id: 0, name: ground, colour: "#000000"}\n    - {id: 1, name: cell, colour: "#ffffff"}\n'
    )
    (folder / "settings.py").write_text(
        "from ml.kinds.semantic_segmentation.settings import SegmentationSettings as ModelSettings\n"
    )
    respan = Respan(tmp_path, "cells")
    respan.storage.write("inbox/images/a.png", b"image")
    assert "1 file waits for its counterpart" in respan("batch", "freeze", "cells", "--run-id", "first", code=3)
    respan.storage.write("inbox/masks/a.png", b"mask")
    respan.storage.write("inbox/masks/b.png", b"mask")
    frozen = respan.json("batch", "freeze", "cells", "--run-id", "first")
    assert frozen == {"batch": frozen["batch"], "samples": 1, "refused": 0, "released": None, "incomplete": 1}
    told = respan("batch", "freeze", "cells", "--run-id", "first")
    assert told == f"batch {frozen['batch']}: 1 samples, 0 refused; in the inbox 1 file waits for its counterpart\n"
    assert "1 samples" in respan("batch", "show", "cells", frozen["batch"])
    respan.storage.delete("inbox/masks/a.png")
    settled = respan.json("batch", "settle", "cells", frozen["batch"])
    assert settled == {"batch": frozen["batch"], "archived": 1, "quarantined": 0, "vanished": 0}
    counts = respan.json("audit", "cells")
    assert (counts["collected"], counts["archived"], counts["incomplete"]) == (1, 1, 1)


@pytest.mark.slow
def test_releases_are_listed_shown_and_rolled_back(respan: Respan) -> None:
    assert "no releases yet" in respan("release", "list", PIPELINE)
    assert "train it first" in respan("release", "show", PIPELINE, code=5)
    served(respan.storage, 1, 2)
    listed = respan.json("release", "list", PIPELINE)
    assert (listed["versions"], listed["traffic"]) == ([1, 2], {"2": 100})
    assert [release["revision"] for release in listed["releases"]] == [None, None]
    left_out = LeftOut(corrected=20, repeated=3)
    run = TrainingRun(run="run-2", pipeline=PIPELINE, window=[1, 2], code="c", started=now(), left_out=left_out)
    respan.storage.write(layout.run(safe_id("run-2"), layout.RUN), run.to_json())
    shown = respan.json("release", "show", PIPELINE)
    assert (shown["run"], shown["left_out"]) == ("run-2", {"corrected": 20, "repeated": 3, "unknown": 0})
    assert "20 under a corrected truth, 3 under the same truth" in respan("release", "show", PIPELINE)
    assert respan.json("release", "show", PIPELINE, "1")["left_out"] is None, "its run's record is gone"
    assert respan.json("release", "rollback", PIPELINE, "--reason", "too slow") == {"version": 1, "previous": 2}
    assert "too slow" in respan("release", "show", PIPELINE, "1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["batch", "freeze", PIPELINE, "--run-id", "x"], 3, "there is nothing in"),
        (["batch", "settle", PIPELINE, "../../etc"], 5, "there is no batch 'etc-"),
        (["batch", "freeze", PIPELINE], 2, "--run-id"),
        (["audit", "nowhere"], 5, "there is no pipeline 'nowhere'"),
        (["audit", "../secrets"], 2, "can't name a pipeline"),
        (["settings", "nowhere"], 5, "found: "),
    ],
)
def test_a_refusal_is_one_line_and_an_exit_code(respan: Respan, arguments: list[str], code: int, message: str) -> None:
    printed = respan(*arguments, code=code)
    assert message in printed
    assert "Traceback" not in printed


@pytest.mark.slow
def test_the_settings_in_force_and_the_pipelines_are_printed(respan: Respan) -> None:
    assert PIPELINE in respan.json("pipelines")["pipelines"]
    assert respan.json("settings", PIPELINE)["kind"] == "image_classification"
    assert respan.json("settings", PIPELINE, "--schema")["evaluation.threshold"]["default"] == 0.9
