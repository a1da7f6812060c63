"""The loop on the target vertex, through a real Airflow, with the trainings and predictions really done.

The tests look at what :mod:`tests.end_to_end.vertex_life` left.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from google.cloud.aiplatform_v1 import ModelServiceClient

from ml import layout
from tests.end_to_end.deployment import EVALUATION, PIPELINE, RETRAINING, TRAINING
from tests.end_to_end.vertex_deployment import AT_HOME_PIPELINE, AT_HOME_TRAINING, deployed
from tests.end_to_end.vertex_life import (
    CREATE,
    FIRST,
    OUT_OF_MEMORY,
    TRAINER,
    VertexLived,
    components,
    job_states,
    live,
)
from tests.gcp.vertex_clients import client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

COMPONENTS = {
    "ImportExampleGen", "ImportSchemaGen", "StatisticsGen", "ExampleValidator", "Transform", "Trainer", "Champion",
    "Evaluator", "Comparison", "Pusher",
}  # fmt: skip
#: What runs again after the Trainer was cleared.
FROM_TRAINER = {"Trainer", "Evaluator", "Comparison", "Pusher"}

#: A token as Google gives it, or an assertion that a key signed.
_TOKEN = re.compile(rb"ya29\.[\w.-]{10}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10}")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VertexLived]:
    with deployed(tmp_path_factory.mktemp("vertex")) as deployment:
        yield live(deployment)


def test_each_component_is_a_task_that_tells_how_it_went(lived: VertexLived) -> None:
    told = results(lived, lived.first_training)
    assert {node: result["state"] for node, result in told.items()} == dict.fromkeys(COMPONENTS, "succeeded")
    assert all(result["seconds"] >= 0 for result in told.values())
    assert told["Trainer"]["seconds"] > 0
    assert all(result["link"].startswith("https://console.cloud.google.com/") for result in told.values())


def test_a_component_is_awaited_in_the_triggerer_whose_death_changes_nothing(lived: VertexLived) -> None:
    task = f"components.{FIRST}"
    assert f"waiting for {FIRST} in projects/" in lived.deployment.airflow.task_log(
        TRAINING, lived.second_training, task
    )
    assert lived.failed.states[task] == "success"
    assert tries(lived, TRAINING, lived.second_training, task) == 1


def test_the_training_links_to_its_job(lived: VertexLived) -> None:
    airflow = lived.deployment.airflow
    run = f"dags/{TRAINING}/dagRuns/{quote(lived.first_training, safe='')}"
    links = airflow.api.get(f"{run}/taskInstances/start_run/links")["extra_links"]
    job = airflow.result(TRAINING, lived.first_training, "start_run")["job"]
    assert job.rpartition("/")[2] in links["Vertex AI pipeline"]


def test_a_training_has_the_same_tasks_on_either_target_whichever_its_settings_name(lived: VertexLived) -> None:
    airflow = lived.deployment.airflow
    on_vertex = airflow.task_states(TRAINING, lived.first_training)
    assert airflow.task_states(TRAINING, lived.local_training) == on_vertex
    assert airflow.task_states(AT_HOME_TRAINING, lived.vertex_training) == on_vertex
    assert "job" not in airflow.result(TRAINING, lived.local_training, "start_run")
    assert "job" in airflow.result(AT_HOME_TRAINING, lived.vertex_training, "start_run")


def test_the_endpoint_answered_rightly_with_the_release(lived: VertexLived) -> None:
    assert lived.answered_by == "1"
    assert [answer["label"] for _, answer in lived.answers] == [label for label, _ in lived.answers]


def test_shifted_samples_were_predicted_by_a_job_with_the_released_model(lived: VertexLived) -> None:
    deployment = lived.deployment
    (call,) = deployment.cloud.calls.of("JobService.CreateBatchPredictionJob")
    registered = deployment.document(layout.registered_model(1))
    assert call.request.batch_prediction_job.model == f"{registered['model']}@{registered['version_id']}"
    log = deployment.airflow.task_log(EVALUATION, lived.degraded_evaluation, "predict")
    assert "waiting for batch prediction job" in log
    evaluated = deployment.airflow.result(EVALUATION, lived.degraded_evaluation, "evaluate")
    assert (evaluated["verdict"], evaluated["version"]) == ("DEGRADED", 1)


def test_who_is_killed_while_it_submits_finds_its_job_again(lived: VertexLived) -> None:
    assert lived.failed.jobs == ["succeeded", "failed"]
    assert tries(lived, TRAINING, lived.second_training, "start_run") > 1
    assert submissions(lived, lived.failed.job)[1:] == ["ALREADY_EXISTS"]


def test_who_was_not_told_that_it_submitted_finds_its_job(lived: VertexLived) -> None:
    job = lived.deployment.airflow.result(AT_HOME_TRAINING, lived.vertex_training, "start_run")["job"]
    assert submissions(lived, job) == ["DROPPED", "ALREADY_EXISTS"]


def test_a_failed_component_fails_its_task_with_a_line_that_names_cause_and_log(lived: VertexLived) -> None:
    states = lived.failed.states
    above = {f"components.{node}" for node in COMPONENTS - FROM_TRAINER}
    ended_well = {*above, "start_run", "end_run"}
    assert {task for task, state in states.items() if state == "success"} == ended_well
    assert {task for task, state in states.items() if state == "failed"} == {TRAINER}
    assert {states[task] for task in set(states) - ended_well - {TRAINER}} == {"upstream_failed"}
    (line,) = [line for line in lived.failed.log.splitlines() if "component Trainer failed" in line]
    assert f"component Trainer failed: {OUT_OF_MEMORY.rstrip('.')}: " in line
    assert "; log: https://console.cloud.google.com/logs/" in line


def test_the_cleared_component_ran_again_in_a_second_job_and_the_rest_came_from_the_cache(lived: VertexLived) -> None:
    told = results(lived, lived.second_training)
    assert {node for node in FROM_TRAINER if told[node]["state"] == "succeeded"} == FROM_TRAINER
    _, failed, again, *_ = lived.deployment.pipelines.jobs()
    assert failed.labels["respan-run"] == again.labels["respan-run"]
    ran = {task for job, task in lived.deployment.executor.executions if job == last(again.name)}
    assert ran == FROM_TRAINER
    assert lived.deployment.airflow.result(RETRAINING, lived.second_retraining, "train")["release"]["version"] == 2


def test_a_run_that_a_person_marks_as_failed_is_cancelled_on_vertex_and_no_container_is_left(
    lived: VertexLived,
) -> None:
    assert lived.marked.containers != []
    assert lived.marked.survivors == []
    assert lived.marked.unfinished == []
    assert lived.marked.states[-1] == "cancelled"


def test_each_attempt_had_one_job(lived: VertexLived) -> None:
    jobs = lived.deployment.pipelines.jobs()
    assert job_states(lived.deployment) == ["succeeded", "failed", "succeeded", "cancelled", "succeeded"]
    assert Counter(job.labels["respan-pipeline"] for job in jobs) == {PIPELINE: 3, AT_HOME_PIPELINE: 2}
    assert lived.deployment.pipelines.created == len(jobs)


def test_each_release_is_registered_once_where_the_settings_say_so_and_the_newest_alone_serves(
    lived: VertexLived,
) -> None:
    assert registered(lived) == {
        "respan-stripes": [{"release-1"}, {"release-2"}, {"release-3", "production"}],
    }
    endpoint = lived.deployment.endpoint(PIPELINE)
    assert [model.id for model in endpoint.deployed_models] == ["3"]
    assert dict(endpoint.traffic_split) == {"3": 100}


def test_storage_has_each_release_once(lived: VertexLived) -> None:
    history = lived.deployment.ml("release", "show", PIPELINE)["history"]
    assert [change["traffic"] for change in history] == [{"1": 100}, {"2": 100}, {"3": 100}]
    assert lived.deployment.ml("release", "list", PIPELINE)["versions"] == [1, 2, 3]
    assert lived.deployment.ml("release", "list", AT_HOME_PIPELINE)["versions"] == [1]
    assert lived.deployment.document(layout.SERVING, AT_HOME_PIPELINE)["history"][-1]["traffic"] == {"1": 100}


def test_every_sample_is_in_exactly_one_place(lived: VertexLived) -> None:
    audit = lived.deployment.ml("audit", PIPELINE)
    assert audit["collected"] == audit["archived"] == 160
    assert audit["lost"] == audit["duplicated"] == 0


def test_nobody_was_asked_but_google(lived: VertexLived) -> None:
    assert lived.deployment.cloud.refused_hosts == []


def test_no_key_and_no_token_is_in_any_file_or_object(lived: VertexLived) -> None:
    key = lived.deployment.cloud.airflow_key["private_key"].splitlines()[5].encode()
    told = [name for name, content in written(lived) if key in content or _TOKEN.search(content)]
    assert told == []


def results(lived: VertexLived, run_id: str) -> dict[str, dict[str, Any]]:
    """What the component tasks of a training returned, by their components."""
    airflow = lived.deployment.airflow
    nodes = components(airflow.task_states(TRAINING, run_id))
    return {node: airflow.result(TRAINING, run_id, f"components.{node}") for node in nodes}


def submissions(lived: VertexLived, job: str) -> list[str]:
    """What came of each call that wanted to make ``job``."""
    calls = lived.deployment.cloud.calls.of(CREATE)
    return [call.outcome for call in calls if call.request.pipeline_job_id == last(job)]


def tries(lived: VertexLived, dag_id: str, run_id: str, task_id: str) -> int:
    found = lived.deployment.airflow.task_instances(dag_id, run_id)
    return next(int(task["try_number"]) for task in found if task["task_id"] == task_id)


def registered(lived: VertexLived) -> dict[str, list[set[str]]]:
    """Model → the aliases of its versions, in their order."""
    cloud = lived.deployment.cloud
    models = client(cloud, ModelServiceClient)
    return {
        last(model.name): [
            set(version.version_aliases) - {"default", "candidate"}
            for version in sorted(
                models.list_model_versions(name=model.name.partition("@")[0]), key=lambda found: int(found.version_id)
            )
        ]
        for model in models.list_models(parent=f"projects/{cloud.project}/locations/{cloud.region}")
    }


def written(lived: VertexLived) -> Iterator[tuple[str, bytes]]:
    """All files that the deployment and its containers wrote, among them every log, and all objects of the bucket."""
    deployment = lived.deployment
    for folder in (deployment.home, deployment.cloud.folder / "containers"):
        for file in folder.rglob("*"):
            # Airflow is at work, and removes files of its database.
            with contextlib.suppress(FileNotFoundError):
                if file.is_file():
                    yield str(file.relative_to(folder)), file.read_bytes()
    for blob in deployment.bucket.client.list_blobs(deployment.bucket):
        yield blob.name, blob.download_as_bytes()


def last(name: str) -> str:
    return name.rpartition("/")[2]
