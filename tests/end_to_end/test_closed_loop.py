"""The loop through a real scheduler, DAG processor, triggerer and API server, with real TFX runs.

One deployment lives through: first samples → the evaluation asks for training → retraining → training, whose Transform
task is killed with ``kill -9`` on the way → release → new samples → PASS. The tests then look at what is there.
"""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.end_to_end.deployment import PIPELINE, Deployment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EVALUATION, RETRAINING, TRAINING = (f"{PIPELINE}.{stage}" for stage in ("evaluation", "retraining", "training"))
KILLED = "components.Transform"


@dataclass(frozen=True)
class Lived:
    """The deployment after the loop, with the runs that made it; its Airflow still runs."""

    deployment: Deployment
    first_evaluation: str
    retraining: str
    training: str
    second_evaluation: str
    states: dict[str, str]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    deployment = Deployment(tmp_path_factory.mktemp("deployment"))
    airflow = deployment.airflow
    with airflow:
        airflow.wait_for_dags(EVALUATION, RETRAINING, TRAINING)
        airflow.unpause(EVALUATION, RETRAINING, TRAINING)
        first = airflow.wait_for_run(EVALUATION, timeout=60)
        deployment.collect(80, seed=1)
        states = {first: airflow.wait(EVALUATION, first, timeout=180)}

        retraining = airflow.wait_for_run(RETRAINING, timeout=60)
        training = airflow.wait_for_run(TRAINING, timeout=120)
        kill_task(deployment, TRAINING, training, KILLED, timeout=240)
        states[training] = airflow.wait(TRAINING, training, timeout=600)
        states[retraining] = airflow.wait(RETRAINING, retraining, timeout=120)

        deployment.collect(70, seed=2)
        second = airflow.wait_for_run(EVALUATION, other_than=(first,), timeout=60)
        states[second] = airflow.wait(EVALUATION, second, timeout=240)
        yield Lived(deployment, first, retraining, training, second, states)
    deployment.stop_warm_process()


def kill_task(deployment: Deployment, dag_id: str, run_id: str, task_id: str, *, timeout: float) -> None:
    """``kill -9`` of the process that runs the task, as soon as its command has started."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        [task] = [t for t in deployment.airflow.task_instances(dag_id, run_id) if t["task_id"] == task_id]
        if task["state"] == "running" and task["pid"]:
            if "run-node" in deployment.airflow.task_log(dag_id, run_id, task_id):
                os.kill(task["pid"], signal.SIGKILL)
                return
        elif task["state"] in ("success", "failed", "upstream_failed"):
            break
        time.sleep(0.2)
    pytest.fail(f"{task_id} was never seen running")


def test_every_run_succeeded(lived: Lived) -> None:
    assert lived.states == dict.fromkeys(lived.states, "success")
    assert len(lived.states) == 4


def test_without_a_release_the_evaluation_asks_for_training(lived: Lived) -> None:
    tasks = lived.deployment.airflow.task_states(EVALUATION, lived.first_evaluation)
    assert tasks["request_training"] == "success"
    assert tasks["predict"] == "skipped"


def test_the_killed_task_was_tried_again_and_the_run_went_on(lived: Lived) -> None:
    tries = {
        task["task_id"]: task["try_number"]
        for task in lived.deployment.airflow.task_instances(TRAINING, lived.training)
    }
    assert tries.pop(KILLED) == 2
    assert set(tries.values()) == {1}


def test_the_training_released_version_1_with_its_window_and_reason(lived: Lived) -> None:
    release = lived.deployment.ml("release", "show", PIPELINE)
    assert release["version"] == 1
    assert release["window"] == [1]
    assert "no version is released yet" in release["history"][-1]["reason"]


def test_good_new_samples_pass_and_are_archived(lived: Lived) -> None:
    airflow = lived.deployment.airflow
    assert airflow.result(EVALUATION, lived.second_evaluation, "evaluate")["verdict"] == "PASS"
    tasks = airflow.task_states(EVALUATION, lived.second_evaluation)
    assert tasks["archive"] == "success"
    assert tasks["request_training"] == tasks["return_to_inbox"] == tasks["give_back"] == "skipped"


def test_every_sample_is_in_exactly_one_place(lived: Lived) -> None:
    audit = lived.deployment.ml("audit", PIPELINE)
    assert audit["collected"] == audit["archived"] == lived.deployment.collected
    assert audit["lost"] == audit["duplicated"] == 0


def test_a_components_log_is_in_its_own_task(lived: Lived) -> None:
    airflow = lived.deployment.airflow
    assert "--node Trainer" in airflow.task_log(TRAINING, lived.training, "components.Trainer")
    assert "--node Trainer" not in airflow.task_log(TRAINING, lived.training, "components.Pusher")


def test_the_training_runs_again_alone_when_a_task_is_cleared(lived: Lived) -> None:
    airflow = lived.deployment.airflow
    airflow.clear(TRAINING, lived.training, "components.StatisticsGen")
    assert airflow.wait(TRAINING, lived.training, timeout=240) == "success"
    tries = {task["task_id"]: task["try_number"] for task in airflow.task_instances(TRAINING, lived.training)}
    assert tries["components.StatisticsGen"] == 2
    assert tries["components.Trainer"] == 1


def test_the_evaluation_links_to_its_report(lived: Lived) -> None:
    path = f"dags/{EVALUATION}/dagRuns/{quoted(lived.second_evaluation)}/taskInstances/evaluate/links"
    links = lived.deployment.airflow.api.get(path)["extra_links"]
    batch = lived.deployment.airflow.result(EVALUATION, lived.second_evaluation, "freeze")["batch"]
    assert links["Report"] == f"/respan/reports/{PIPELINE}/{batch}"
    status, page = fetch(lived, links["Report"])
    assert status == 200
    assert "<html" in page


def test_the_overview_tells_who_serves_and_the_last_verdict(lived: Lived) -> None:
    status, page = fetch(lived, "/respan/")
    assert status == 200
    assert PIPELINE in page
    assert "PASS" in page
    assert "Version <strong>1</strong> serves" in page


def test_the_pages_are_for_logged_in_users_only(lived: Lived) -> None:
    batch = lived.deployment.airflow.result(EVALUATION, lived.second_evaluation, "freeze")["batch"]
    for path in ("/respan/", f"/respan/reports/{PIPELINE}/{batch}"):
        assert fetch(lived, path, token="")[0] == 401
        assert fetch(lived, path, token="made-up")[0] in (401, 403)


@pytest.mark.parametrize(
    "path",
    [
        f"{PIPELINE}/..%2f..%2freleases",
        f"{PIPELINE}/%2e%2e",
        "..%2f..%2fetc/passwd",
        f"{PIPELINE}/nothing-00000000",
        "unknown/nothing-00000000",
    ],
)
def test_a_report_that_is_none_is_not_found_wherever_its_name_leads(lived: Lived, path: str) -> None:
    assert fetch(lived, f"/respan/reports/{path}")[0] == 404


def test_a_cleared_retraining_finds_its_training_run_again_and_starts_no_second_one(lived: Lived) -> None:
    airflow = lived.deployment.airflow
    before, audit = airflow.run_ids(TRAINING), lived.deployment.ml("audit", PIPELINE)
    airflow.clear(RETRAINING, lived.retraining, "train")
    assert airflow.wait(RETRAINING, lived.retraining, timeout=120) == "success"
    assert airflow.run_ids(TRAINING) == before
    assert lived.deployment.ml("audit", PIPELINE) == audit


def test_an_evaluation_that_fails_gives_its_samples_back(lived: Lived) -> None:
    airflow, models = lived.deployment.airflow, lived.deployment.storage / "models"
    archived = lived.deployment.ml("audit", PIPELINE)["archived"]
    before = tuple(airflow.run_ids(EVALUATION)[1:])
    models.rename(models.with_name("elsewhere"))
    try:
        lived.deployment.collect(60, seed=3)
        failing = airflow.wait_for_run(EVALUATION, other_than=before, timeout=60)
        assert airflow.wait(EVALUATION, failing, timeout=120) == "failed"
    finally:
        airflow.pause(EVALUATION)
        models.with_name("elsewhere").rename(models)
    tasks = airflow.task_states(EVALUATION, failing)
    assert (tasks["predict"], tasks["give_back"]) == ("failed", "success")
    audit = lived.deployment.ml("audit", PIPELINE)
    assert (audit["archived"], audit["lost"], audit["duplicated"]) == (archived, 0, 0)
    assert audit["collected"] == lived.deployment.collected


def quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def fetch(lived: Lived, path: str, *, token: str | None = None) -> tuple[int, str]:
    token = lived.deployment.airflow.api.token() if token is None else token
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(lived.deployment.airflow.url + path, headers=headers)  # noqa: S310 - this machine
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, json.dumps(error.reason)
