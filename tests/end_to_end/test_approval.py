"""``training.approval: true``: a person decides about each release, here through Airflow's REST API."""

from __future__ import annotations

import shutil
import time
from urllib.parse import quote

import pytest

from ml.layout import MODELS, span
from tests.end_to_end.deployment import APPROVED_PIPELINE, APPROVED_TRAINING, Deployment
from tests.end_to_end.life import Lived

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WAITING = ("deferred", "awaiting_input")
#: A person reads before the answer. One that comes before the asking process's supervisor has noticed its end, up to a
#: second later, fails that try: Airflow 3.3 then no longer knows the task instance, and asks again.
_READING_SECONDS = 5.0


@pytest.fixture(scope="module")
def deployment_with_span(lived: Lived) -> Deployment:
    """The pipeline whose releases are approved has the other one's first span."""
    deployment = lived.deployment
    shutil.copytree(deployment.storage / span(1), deployment.approved_storage / span(1))
    deployment.airflow.unpause(APPROVED_TRAINING)
    return deployment


def test_a_candidate_is_released_when_a_person_approves_and_not_before(deployment_with_span: Deployment) -> None:
    states = train_and_answer(deployment_with_span, "Approve")
    assert states["publish"] == states["released"] == "success"
    assert versions(deployment_with_span) == [1]


def test_a_rejected_candidate_is_not_released_and_the_run_has_not_failed(deployment_with_span: Deployment) -> None:
    before = versions(deployment_with_span)
    states = train_and_answer(deployment_with_span, "Reject")
    assert states["is_blessed"] == states["approve"] == "success"
    assert states["publish"] == states["released"] == "skipped"
    assert versions(deployment_with_span) == before


def train_and_answer(deployment: Deployment, answer: str) -> dict[str, str | None]:
    """Trains, gives the answer when it is asked for, and returns the tasks' states after the run has succeeded."""
    airflow = deployment.airflow
    before = versions(deployment)
    run_id = airflow.trigger(APPROVED_TRAINING, {"window": [1]})
    airflow.until(
        lambda: airflow.task_states(APPROVED_TRAINING, run_id)["approve"] in WAITING,
        240,
        "nobody is asked for approval",
    )
    assert versions(deployment) == before
    time.sleep(_READING_SECONDS)
    path = f"dags/{APPROVED_TRAINING}/dagRuns/{quote(run_id, safe='')}/taskInstances/approve/-1/hitlDetails"
    airflow.api.patch(path, {"chosen_options": [answer]})
    assert airflow.wait(APPROVED_TRAINING, run_id, timeout=120) == "success"
    return airflow.task_states(APPROVED_TRAINING, run_id)


def versions(deployment: Deployment) -> list[int]:
    """The models that a server would find, which must be those that are released."""
    models = deployment.approved_storage / MODELS
    found = sorted(int(folder.name) for folder in models.iterdir()) if models.exists() else []
    assert deployment.ml("release", "list", APPROVED_PIPELINE)["versions"] == found
    return found
