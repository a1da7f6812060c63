"""The loop mends a degraded model while a saboteur kills, at random moments, the process of a task, its supervisor, the
warm process, the scheduler, and the scheduler with all its workers; nobody helps but a service manager that starts the
scheduler again.

``RESPAN_CRASH_SEED`` repeats a schedule; each run draws a new one, which the failure tells.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ml import layout
from tests.end_to_end.deployment import EVALUATION, PIPELINE, RETRAINING, TRAINING, Deployment
from tests.end_to_end.life import Lived, waiting_evaluation
from tests.end_to_end.processes import survivors, warm_commands, warm_processes
from tests.end_to_end.saboteur import Saboteur

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SAMPLES = 80


@dataclass(frozen=True)
class Crashed:
    """The deployment after the loop was sabotaged: the new runs of each DAG, and what there was before."""

    deployment: Deployment
    saboteur: Saboteur
    evaluation: str
    retrainings: list[str]
    trainings: list[str]
    audit_before: dict[str, Any]


@pytest.fixture(scope="module")
def crashed(lived: Lived) -> Iterator[Crashed]:
    """Release 1, which can't handle the tilted camera, serves again; tilted samples arrive."""
    deployment, airflow = lived.deployment, lived.deployment.airflow
    seed = int(os.environ.get("RESPAN_CRASH_SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"RESPAN_CRASH_SEED={seed}")
    known = {dag_id: airflow.run_ids(dag_id) for dag_id in (RETRAINING, TRAINING)}
    evaluation = waiting_evaluation(deployment)
    audit_before = deployment.ml("audit", PIPELINE)
    deployment.ml("release", "rollback", PIPELINE, "--to", "1")
    saboteur = Saboteur(deployment, (EVALUATION, RETRAINING, TRAINING), seed)
    deployment.collect(SAMPLES, seed=100, tilted=True)

    def new_runs(dag_id: str) -> list[str]:
        return [run_id for run_id in airflow.run_ids(dag_id) if run_id not in known[dag_id]]

    def mended() -> bool:
        saboteur.look()
        ended = [airflow.run_state(RETRAINING, run_id) in ("success", "failed") for run_id in new_runs(RETRAINING)]
        return bool(ended) and all(ended)

    try:
        try:
            airflow.until(mended, 600, f"with RESPAN_CRASH_SEED={seed} the loop has not ended")
        finally:
            print(*saboteur.done, sep="\n")
        yield Crashed(deployment, saboteur, evaluation, new_runs(RETRAINING), new_runs(TRAINING), audit_before)
    finally:
        saboteur.stop()


def test_something_was_killed(crashed: Crashed) -> None:
    assert crashed.saboteur.done


def test_every_run_succeeded_and_there_is_one_of_each(crashed: Crashed) -> None:
    airflow = crashed.deployment.airflow
    [retraining], [training] = crashed.retrainings, crashed.trainings
    assert airflow.result(EVALUATION, crashed.evaluation, "evaluate")["verdict"] == "DEGRADED"
    assert airflow.run_state(EVALUATION, crashed.evaluation) == "success"
    assert airflow.run_state(RETRAINING, retraining) == "success"
    assert airflow.run_state(TRAINING, training) == "success"


def test_nothing_works_on_for_a_task_that_was_killed(crashed: Crashed) -> None:
    assert crashed.saboteur.left_behind == []
    environment = crashed.deployment.airflow.environment
    assert survivors(warm_commands(environment)) == []
    assert len(warm_processes(environment)) <= 1


def test_no_sample_is_lost_or_counted_twice(crashed: Crashed) -> None:
    audit = crashed.deployment.ml("audit", PIPELINE)
    before = crashed.audit_before
    assert audit == {
        **before,
        "collected": before["collected"] + SAMPLES,
        "archived": before["archived"] + SAMPLES,
    }
    assert audit["lost"] == audit["duplicated"] == audit["inbox"] == audit["batch"] == 0


def test_there_is_one_new_span_and_it_is_complete(crashed: Crashed) -> None:
    storage = crashed.deployment.storage
    assert names(storage / layout.SPANS) == ["span-1", "span-2", "span-3"]
    assert names(storage / "claims" / "spans") == ["1.json", "2.json", "3.json"]
    spans = {span["span"]: span for span in crashed.deployment.ml("span", "list", PIPELINE)["spans"]}
    assert sorted(spans) == [1, 2, 3]
    assert spans[3]["train"] + spans[3]["eval"] == SAMPLES


def test_there_is_one_new_release_it_is_complete_and_it_serves(crashed: Crashed) -> None:
    storage = crashed.deployment.storage
    assert names(storage / layout.MODELS) == ["1", "2", "3"]
    assert all((storage / layout.model(version) / "saved_model.pb").stat().st_size for version in (1, 2, 3))
    serving = crashed.deployment.ml("release", "show", PIPELINE)
    assert (serving["version"], serving["traffic"], serving["window"]) == (3, 100, [2, 3])
    assert [change["traffic"] for change in serving["history"]] == [{"1": 100}, {"2": 100}, {"1": 100}, {"3": 100}]
    assert crashed.deployment.ml("release", "list", PIPELINE)["versions"] == [1, 2, 3]


def test_the_loop_goes_on_by_itself(crashed: Crashed) -> None:
    airflow = crashed.deployment.airflow
    archived = crashed.deployment.ml("audit", PIPELINE)["archived"]
    after = waiting_evaluation(crashed.deployment)
    crashed.deployment.collect(60, seed=101, tilted=True)
    assert airflow.wait(EVALUATION, after, timeout=120) == "success"
    assert airflow.result(EVALUATION, after, "evaluate")["verdict"] == "PASS"
    assert crashed.deployment.ml("audit", PIPELINE)["archived"] == archived + 60


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())
