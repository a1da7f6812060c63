"""The loop through a real scheduler, DAG processor, triggerer and API server, with real TFX runs.

The tests look at what :mod:`tests.end_to_end.life` left, and at what happens when a person does something to it.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request

import pytest

from ml.layout import OPEN_BATCH
from tests.end_to_end.deployment import EVALUATION, PIPELINE, RETRAINING, TRAINING
from tests.end_to_end.life import KILLED, Lived, waiting_evaluation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_every_run_succeeded(lived: Lived) -> None:
    assert lived.states == dict.fromkeys(lived.states, "success")
    assert len(lived.states) == 8


def test_without_a_release_the_evaluation_asks_for_training(lived: Lived) -> None:
    tasks = lived.deployment.airflow.task_states(EVALUATION, lived.first_evaluation)
    assert tasks["request_training"] == "success"
    assert tasks["predict"] == "skipped"


def test_the_killed_task_was_tried_again_and_the_run_went_on(lived: Lived) -> None:
    tries = {
        task["task_id"]: task["try_number"]
        for task in lived.deployment.airflow.task_instances(TRAINING, lived.first_training)
    }
    assert tries.pop(KILLED) == 2
    assert set(tries.values()) == {1}


def test_the_training_released_version_1_with_its_window_and_reason(lived: Lived) -> None:
    release = lived.deployment.ml("release", "show", PIPELINE, "1")
    assert release["version"] == 1
    assert release["window"] == [1]
    assert "no version is released yet" in release["history"][0]["reason"]


def test_good_new_samples_pass_and_are_archived(lived: Lived) -> None:
    assert_passed_and_archived(lived, lived.good_evaluation)


def test_samples_that_the_model_cant_handle_are_degraded_and_ask_for_training(lived: Lived) -> None:
    airflow = lived.deployment.airflow
    assert airflow.result(EVALUATION, lived.degraded_evaluation, "evaluate")["verdict"] == "DEGRADED"
    tasks = airflow.task_states(EVALUATION, lived.degraded_evaluation)
    assert tasks["request_training"] == "success"
    assert tasks["archive"] == tasks["return_to_inbox"] == tasks["give_back"] == "skipped"


def test_the_retraining_reads_both_spans_and_releases_version_2_telling_why(lived: Lived) -> None:
    airflow = lived.deployment.airflow
    assert airflow.result(RETRAINING, lived.second_retraining, "prepare_span")["span"] == 2
    assert airflow.result(RETRAINING, lived.second_retraining, "train")["run_id"] == lived.second_training
    release = lived.deployment.ml("release", "show", PIPELINE, "2")
    assert release["window"] == [1, 2]
    assert release["history"][1]["reason"].startswith("DEGRADED: accuracy 0.")


def test_the_new_version_passes_on_fresh_samples_of_the_same_kind(lived: Lived) -> None:
    assert_passed_and_archived(lived, lived.last_evaluation)
    assert lived.deployment.airflow.result(EVALUATION, lived.last_evaluation, "evaluate")["version"] == 2


def assert_passed_and_archived(lived: Lived, run_id: str) -> None:
    airflow = lived.deployment.airflow
    assert airflow.result(EVALUATION, run_id, "evaluate")["verdict"] == "PASS"
    tasks = airflow.task_states(EVALUATION, run_id)
    assert tasks["archive"] == "success"
    assert tasks["request_training"] == tasks["return_to_inbox"] == tasks["give_back"] == "skipped"


def test_every_sample_is_in_exactly_one_place(lived: Lived) -> None:
    audit = lived.deployment.ml("audit", PIPELINE)
    assert audit["collected"] == audit["archived"] == lived.deployment.collected
    assert audit["lost"] == audit["duplicated"] == 0


def test_a_components_log_is_in_its_own_task(lived: Lived) -> None:
    airflow = lived.deployment.airflow
    assert "--node Trainer" in airflow.task_log(TRAINING, lived.first_training, "components.Trainer")
    assert "--node Trainer" not in airflow.task_log(TRAINING, lived.first_training, "components.Pusher")


def test_the_warm_process_runs_the_commands(lived: Lived) -> None:
    airflow = lived.deployment.airflow
    logs = [
        airflow.task_log(TRAINING, lived.second_training, f"components.{node}")
        for node in ("Transform", "Trainer", "Pusher")
    ]
    assert not any("in a process of its own" in log for log in logs)


def test_the_training_runs_again_alone_when_a_task_is_cleared(lived: Lived) -> None:
    airflow = lived.deployment.airflow
    airflow.clear(TRAINING, lived.first_training, "components.StatisticsGen")
    assert airflow.wait(TRAINING, lived.first_training, timeout=240) == "success"
    tries = {task["task_id"]: task["try_number"] for task in airflow.task_instances(TRAINING, lived.first_training)}
    assert tries["components.StatisticsGen"] == 2
    assert tries["components.Trainer"] == 1


def test_the_evaluation_links_to_its_report(lived: Lived) -> None:
    path = f"dags/{EVALUATION}/dagRuns/{quoted(lived.last_evaluation)}/taskInstances/evaluate/links"
    links = lived.deployment.airflow.api.get(path)["extra_links"]
    batch = lived.deployment.airflow.result(EVALUATION, lived.last_evaluation, "freeze")["batch"]
    assert links["Report"] == f"/respan/reports/{PIPELINE}/{batch}"
    status, page = fetch(lived, links["Report"])
    assert status == 200
    assert "<html" in page


def test_the_overview_tells_who_serves_and_the_last_verdict(lived: Lived) -> None:
    status, page = fetch(lived, "/respan/")
    assert status == 200
    assert PIPELINE in page
    assert "PASS" in page
    [serving] = lived.deployment.ml("release", "list", PIPELINE)["traffic"]
    assert f"Version <strong>{serving}</strong> serves" in page


def test_the_pages_are_for_logged_in_users_only(lived: Lived) -> None:
    batch = lived.deployment.airflow.result(EVALUATION, lived.last_evaluation, "freeze")["batch"]
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
    airflow.clear(RETRAINING, lived.first_retraining, "train")
    assert airflow.wait(RETRAINING, lived.first_retraining, timeout=120) == "success"
    assert airflow.run_ids(TRAINING) == before
    assert lived.deployment.ml("audit", PIPELINE) == audit


def test_an_evaluation_that_fails_gives_its_samples_back_and_the_next_one_judges_them(lived: Lived) -> None:
    airflow, models = lived.deployment.airflow, lived.deployment.storage / "models"
    archived = lived.deployment.ml("audit", PIPELINE)["archived"]
    failing = waiting_evaluation(lived.deployment)
    models.rename(models.with_name("elsewhere"))
    try:
        lived.deployment.collect(60, seed=5)
        assert airflow.wait(EVALUATION, failing, timeout=120) == "failed"
        airflow.pause(EVALUATION)
    finally:
        models.with_name("elsewhere").rename(models)
    tasks = airflow.task_states(EVALUATION, failing)
    assert (tasks["predict"], tasks["give_back"]) == ("failed", "success")
    audit = lived.deployment.ml("audit", PIPELINE)
    assert (audit["archived"], audit["lost"], audit["duplicated"]) == (archived, 0, 0)
    assert audit["collected"] == lived.deployment.collected

    airflow.unpause(EVALUATION)
    airflow.until(lambda: lived.deployment.ml("audit", PIPELINE)["archived"] == archived + 60, 120, "no batch passes")
    assert not (lived.deployment.storage / OPEN_BATCH).exists()


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
