"""
Trains the model on a batch: one that the released version can't handle, or whichever the settings say.

Starts when the *evaluation* DAG asks for training, or by hand: without a batch it takes the open one. Makes a span of
the batch, runs the *training* DAG on the newest window of spans, and archives the batch.

The batch is archived as soon as its span is complete and the training has ended, whatever the training's outcome: its
samples are in the span and will be in the next window too. If the training failed, or its candidate was not good enough
to be released, this run fails, since the deployed model is still the one that can't handle the data; a candidate that
was trained for new data alone may stay unreleased. After mending a failed training, clear its failed task there, then
`train` here: it finds the same training run again.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from respan.assets import needs_training
from respan.discovery import usable_pipelines
from respan.failures import told_to_airflow
from respan.names import dag_id
from respan.operators.command import MlCommandOperator
from respan.operators.training import TriggerTrainingOperator
from respan.params import REASON
from respan.pipeline_dag import pipeline_dag
from respan.training_request import BATCH_PATTERN, TrainingRequest, not_released

from ml.batches import open_batch
from ml.home import pipeline_storage
from ml.records import TrainingCause
from ml.settings import Settings

PARAMS = {
    "batch": Param(
        None, type=["null", "string"], pattern=BATCH_PATTERN, title="Batch", description="Empty: the open batch."
    ),
    "reason": REASON,
}


def requested(key: str) -> str:
    """The template of what ``find_batch`` returns under ``key``: a field of :class:`TrainingRequest`."""
    return f"{{{{ ti.xcom_pull(task_ids='find_batch')['{key}'] }}}}"


def retraining(settings: Settings) -> None:
    name = settings.name

    @task(task_id="find_batch")
    def find_batch(*, params: Any = None, triggering_asset_events: Any = None) -> dict[str, Any]:
        events = [event for same_asset in (triggering_asset_events or {}).values() for event in same_asset]
        if events:
            return TrainingRequest.from_event(events[-1].extra).to_json_dict()
        batch = params["batch"]
        if not batch:
            with told_to_airflow():
                held = open_batch(pipeline_storage(name))
            if held is None:
                raise AirflowFailException(f"no batch of {name} is open: name one, or run the evaluation first")
            batch = held.batch
        cause = TrainingCause.MANUAL
        return TrainingRequest(batch=batch, cause=cause, reason=params["reason"] or cause.meaning).to_json_dict()

    @task(task_id="is_released")
    def is_released(trained: Any, request: Any) -> dict[str, Any]:
        if told := not_released(trained):
            if TrainingCause(request["cause"]) is TrainingCause.NEW_DATA:
                raise AirflowSkipException(told)
            raise AirflowFailException(told)
        release: dict[str, Any] = trained["release"]
        return release

    span = MlCommandOperator(task_id="prepare_span", arguments=["span", "prepare", name, requested("batch")])
    window: Any = MlCommandOperator(task_id="window", arguments=["window", name], multiple_outputs=True)
    train = TriggerTrainingOperator(
        task_id="train",
        training_dag_id=dag_id(name, "training"),
        training_run_id="{{ retraining_run_id(run_id) }}",
        conf={
            "window": window.output["window"],
            "cause": requested("cause"),
            "reason": requested("reason"),
        },
        note=f"{requested('cause')}: {requested('reason')}",
        result_task_id="publish",
    )
    # A teardown runs if its setup succeeded and everything between them has ended, however.
    archive = MlCommandOperator(task_id="archive", arguments=["batch", "settle", name, requested("batch")])
    archive.as_teardown(setups=span, on_failure_fail_dagrun=True)

    request = find_batch()
    request >> span >> window >> train >> archive
    train >> is_released(train.output, request)


for found_settings in usable_pipelines("retraining"):
    with pipeline_dag(
        found_settings,
        "retraining",
        doc=__doc__,
        schedule=[needs_training(found_settings.name)],
        params=PARAMS,
    ):
        retraining(found_settings)
