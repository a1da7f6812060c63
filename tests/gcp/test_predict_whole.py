"""A batch in gs:// predicted by a job that really predicts, and evaluated: the local target gives the same."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException

from ml import layout
from tests.gcp.predicting import BATCH, Stage, Task, prepared, stage

__all__ = ["prepared", "stage"]

#: What differs between two evaluations of the same predictions.
_OWN = {"created", "inputs"}


def evaluated(stage: Stage, task: Task) -> dict[str, Any]:
    """What is left of the report, without what each has of its own."""
    stage.run_in_tfx("-m", "ml", "evaluate", task.pipeline, BATCH, "--json")
    report: dict[str, Any] = json.loads(stage.storage(task.pipeline).read(layout.batch(BATCH, layout.REPORT_JSON)))
    return {key: value for key, value in report.items() if key not in _OWN}


@pytest.mark.slow
def test_a_batch_is_predicted_and_evaluated_as_on_the_local_target(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESPAN_TFX_PYTHON", os.environ["RESPAN_TFX_PYTHON_FOR_TESTS"])
    task = stage.task_of_its_own()
    returned = task.attempt()
    (job,) = stage.jobs(task)
    folder = job.output_info.gcs_output_directory
    assert returned == {"batch": BATCH, "version": 1, "predicted": 40, "failed": 1, "predictions": folder}
    assert task.attempt() == returned  # a cleared task finds the predictions
    report = evaluated(stage, task)
    assert (report["counts"]["evaluated"], report["counts"]["failed"]) == (40, 1)
    assert len(report["worst"]) > 2
    assert len(report["drift"]) > 2

    stage.storage(task.pipeline).delete(layout.batch(BATCH, layout.PREDICTIONS_RECORD))
    settings = stage.pipelines / task.pipeline / "settings.yaml"
    settings.write_text(settings.read_text().replace("target: vertex", "target: local"))
    lines = stage.storage(task.pipeline).uri(layout.batch(BATCH, layout.PREDICTIONS))
    assert task.attempt() == {**returned, "predictions": lines}
    assert evaluated(stage, task) == report
    assert len(stage.jobs(task)) == 1


@pytest.mark.slow
def test_a_job_that_has_succeeded_is_collected_by_the_retry_of_a_task_that_could_not(stage: Stage) -> None:
    task = stage.task()
    waiting = task.begin()
    stage.cloud.permissions.deny(stage.cloud.airflow_principal, "aiplatform.batchPredictionJobs.get")
    with pytest.raises(AirflowException, match=r"docs/google-cloud\.md lists them"):
        task.resume(waiting, {"job": stage.jobs(task)[0].name})
    stage.cloud.permissions.allow(stage.cloud.airflow_principal, "aiplatform.batchPredictionJobs.get")
    assert task.attempt()["predicted"] == 40
    assert len(stage.jobs(task)) == 1
