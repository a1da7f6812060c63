"""Two pipelines of two kinds in one Airflow: each with its own storage, metadata and DAGs, at the same time."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from tests.end_to_end import boxes
from tests.end_to_end.boxes import BOXES, collect_boxes
from tests.end_to_end.deployment import PIPELINE, TRAINING, Deployment
from tests.end_to_end.life import Lived

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SAMPLES = 72


@dataclass(frozen=True)
class Together:
    """Both pipelines trained at the same time: one for its first release, the other one once more."""

    deployment: Deployment
    boxes_training: str
    stripes_training: str
    boxes_tasks: Sequence[dict[str, Any]]
    stripes_tasks: Sequence[dict[str, Any]]
    stripes_audit_before: dict[str, Any]


@pytest.fixture(scope="module")
def together(lived: Lived) -> Together:
    deployment, airflow = lived.deployment, lived.deployment.airflow
    before = deployment.ml("audit", PIPELINE)
    airflow.unpause(boxes.EVALUATION, boxes.RETRAINING, boxes.TRAINING)
    collect_boxes(deployment.home, SAMPLES, seed=1)
    training = airflow.wait_for_run(boxes.TRAINING, timeout=120)
    own = airflow.trigger(TRAINING, {"window": [1, 2], "settings": {"training.seed": 7}})
    assert airflow.wait(TRAINING, own, timeout=400) == "success"
    assert airflow.wait(boxes.TRAINING, training, timeout=400) == "success"
    [retraining] = airflow.run_ids(boxes.RETRAINING)
    assert airflow.wait(boxes.RETRAINING, retraining, timeout=120) == "success"
    return Together(
        deployment,
        training,
        own,
        airflow.task_instances(boxes.TRAINING, training),
        airflow.task_instances(TRAINING, own),
        before,
    )


def test_components_of_both_run_at_the_same_time(together: Together) -> None:
    overlapping = [
        (one["task_id"], other["task_id"])
        for one in components(together.boxes_tasks)
        for other in components(together.stripes_tasks)
        if begin(one) < end(other) and begin(other) < end(one)
    ]
    assert overlapping


def components(tasks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [task for task in tasks if task["task_id"].startswith("components.")]


def begin(task: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(task["start_date"])


def end(task: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(task["end_date"])


def test_each_releases_by_its_own_kinds_metric(together: Together) -> None:
    segmenter = together.deployment.ml("release", "show", BOXES, "1")
    assert segmenter["classes"] == ["ground", "box"]
    assert segmenter["metrics"]["mean_iou"] >= 0.3
    assert "accuracy" not in segmenter["metrics"]
    classifier = together.deployment.ml("release", "show", PIPELINE, "1")
    assert "mean_iou" not in classifier["metrics"]


def test_each_has_metadata_of_its_own_that_knows_nothing_of_the_other(together: Together) -> None:
    home = together.deployment.home
    for pipeline, other, run in (
        (BOXES, PIPELINE, together.boxes_training),
        (PIPELINE, BOXES, together.stripes_training),
    ):
        with closing(sqlite3.connect(home / "metadata" / f"{pipeline}.sqlite")) as store:
            contexts = {name for (name,) in store.execute("SELECT name FROM Context")}
            uris = {uri for (uri,) in store.execute("SELECT uri FROM Artifact WHERE uri IS NOT NULL")}
        assert pipeline in contexts
        assert other not in contexts
        assert uris
        assert not [uri for uri in uris if f"/storage/{other}/" in uri]
        assert run


def test_each_sample_is_accounted_for_where_it_belongs(together: Together) -> None:
    found = together.deployment.ml("audit", BOXES)
    assert (found["collected"], found["archived"], found["incomplete"]) == (SAMPLES, SAMPLES, 0)
    assert (found["lost"], found["duplicated"]) == (0, 0)
    assert together.deployment.ml("audit", PIPELINE) == together.stripes_audit_before


def test_fresh_boxes_get_a_verdict_on_mean_iou(together: Together) -> None:
    airflow = together.deployment.airflow
    waiting = airflow.run_ids(boxes.EVALUATION)[0]
    collect_boxes(together.deployment.home, SAMPLES, seed=2)
    assert airflow.wait(boxes.EVALUATION, waiting, timeout=240) == "success"
    evaluated = airflow.result(boxes.EVALUATION, waiting, "evaluate")
    assert evaluated["verdict"] in ("PASS", "DEGRADED", "DRIFTED")
    report = (together.deployment.home / "storage" / BOXES / "batches" / evaluated["batch"]) / "evaluation.html"
    assert "mean IoU" in report.read_text("utf-8")
