"""The same data and settings give the same model, whoever trains it and whenever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ml.home import PROJECT, pipeline_storage
from ml.runs import read_run
from ml.tfx.outcome import RunOutcome, run_outcome
from tests.ml.tfx.digits_pipeline import FAST, PIPELINE, write_digits_span

pytestmark = pytest.mark.slow


def weights(outcome: RunOutcome) -> bytes:
    assert outcome.pushed is not None
    return (Path(outcome.pushed) / "variables" / "variables.data-00000-of-00001").read_bytes()


def test_another_process_with_nothing_in_the_cache_trains_the_same_model(
    trained_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outcome(home: Path, run_id: str) -> RunOutcome:
        monkeypatch.setenv("RESPAN_HOME", str(home))
        storage = pipeline_storage(PIPELINE)
        return run_outcome(PIPELINE, storage, read_run(storage, run_id).run)

    first = outcome(trained_home, "first")
    monkeypatch.setenv("RESPAN_HOME", str(tmp_path))
    write_digits_span(1, 0, 400)
    settings = [word for key, value in FAST.items() for word in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "ml", "train", PIPELINE, "--run-id", "other", "--window", "1", *settings, "--json"]
    done = subprocess.run(command, cwd=PROJECT, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "cached" not in done.stderr
    told = json.loads(done.stdout)
    assert told["metrics"] == first.metrics
    assert weights(outcome(tmp_path, "other")) == weights(first)
