"""Spans and predictions of one kind need nothing of another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ml.home import PROJECT
from tests.ml.notes.desk import PIPELINES


@pytest.mark.slow
def test_notes_are_prepared_and_predicted_without_any_code_on_images_or_classifiers(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.ml.notes.whole_way", str(tmp_path)],
        cwd=PROJECT,
        env={"RESPAN_PIPELINES": str(PIPELINES), "TF_CPP_MIN_LOG_LEVEL": "3", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["examples"], told["predicted"], told["given"]) == (10, 10, 10)
    assert told["kinds"] == ["ml.kinds", "ml.kinds.kind"]
