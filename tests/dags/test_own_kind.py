"""A pipeline that brings a kind of its own, in Airflow's environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from respan.data_sufficiency import look

from ml import layout
from ml.home import pipeline_storage
from ml.settings import load_settings
from tests.dags.airflow_home import PROJECT
from tests.dags.test_layers import HEAVY, IMPORT_ALL

PIPELINES = PROJECT / "tests" / "ml" / "own_model" / "pipelines"


@pytest.fixture(autouse=True)
def wine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESPAN_PIPELINES", str(PIPELINES))


def test_its_dags_are_the_same_as_any_others() -> None:
    found = DagBag(PROJECT / "dags")
    assert not [error for error in found.import_errors.values() if "wine" in error]
    stages = {dag_id.partition(".")[2] for dag_id in found.dags if dag_id.startswith("wine.")}
    assert stages == {"evaluation", "retraining", "training", "serving"}
    components = {task.task_id for task in found.dags["wine.training"].tasks if task.task_id.startswith("components.")}
    assert {"components.Trainer", "components.Evaluator"} <= components


def test_the_sensor_counts_what_the_kind_takes_for_a_sample(respan_home: Path) -> None:
    settings = load_settings("wine")
    inbox = pipeline_storage("wine")
    for number in range(settings.evaluation.min_samples - 1):
        inbox.write(layout.inbox(f"class_0/{number}.json"), b"{}")
    inbox.write(layout.inbox("class_0/picture.png"), b"not of this kind")
    assert str(look(settings)).startswith("waiting:")
    inbox.write(layout.inbox("class_1/one-more.json"), b"{}")
    assert str(look(settings)).startswith("enough samples")


@pytest.mark.slow
def test_reading_its_settings_and_kind_costs_airflow_nothing_heavy() -> None:
    code = IMPORT_ALL.format(heavy=(*HEAVY, "numpy", "pandas", "airflow"), modules=["ml.settings", "ml.kinds"])
    code += "sys.modules['ml.settings'].load_settings('wine')\nprint('ml.pipelines.wine.kind' in sys.modules)\n"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["True"], done.stderr
