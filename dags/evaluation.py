"""
Evaluates the released model on newly collected samples.

Waits until the inbox holds enough samples, in all and of each class, and no batch is open; then freezes a batch,
predicts it with the released version and judges the result:

* **PASS**: the batch goes to the archive.
* **DEGRADED**, **DRIFTED**, or nothing released yet: the batch is handed to the *retraining* DAG, which settles it.
  The settings `training.on_degradation`, `training.on_drift` and `training.on_new_data` (every batch with a verdict)
  say which verdicts do that; the batch of any other goes to the archive.
* **INSUFFICIENT_DATA**: samples that are unusable or prove nothing (copies, and what the release was trained on) go to
  quarantine, the others return to the inbox and join the next batch.

If a step fails for good, the batch is given back to the inbox and the run fails; the next run freezes a new one. After
three failures in a row the DAG pauses itself.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import TriggerRule, task
from respan.assets import needs_training
from respan.discovery import usable_pipelines
from respan.operators.command import MlCommandOperator
from respan.operators.evaluate import EvaluateOperator
from respan.operators.predict import PredictOperator
from respan.pipeline_dag import pipeline_dag
from respan.sensors.data_sufficiency import DataSufficiencySensor
from respan.training_request import TrainingRequest

from ml.evaluation.next_step import Action, next_step
from ml.records import TrainingCause, Verdict
from ml.settings import Settings

#: The batch that this run freezes; known before it is frozen, so that a failed freezing can be undone.
BATCH = "{{ safe_id(run_id) }}"

#: The task that does what was decided.
_TASKS = {Action.TRAIN: "request_training", Action.ARCHIVE: "archive", Action.RETURN: "return_to_inbox"}


def evaluation(settings: Settings) -> None:
    name = settings.name
    wanted = needs_training(name)

    @task.branch(task_id="is_released")
    def is_released(frozen: Any) -> str:
        return "predict" if frozen["released"] is not None else "request_training"

    @task.branch(task_id="judge")
    def judge(evaluated: Any, *, ti: Any = None) -> str:
        step = next_step(Verdict(evaluated["verdict"]), settings.training)
        ti.xcom_push(
            "cause", step.cause and step.cause.value
        )  # settled here, whatever the settings say by the time it is asked for
        return _TASKS[step.action]

    @task(task_id="request_training", outlets=[wanted], trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    def request_training(*, ti: Any = None, outlet_events: Any = None) -> None:
        frozen, evaluated = ti.xcom_pull(task_ids="freeze"), ti.xcom_pull(task_ids="evaluate")
        cause = TrainingCause(ti.xcom_pull(task_ids="judge", key="cause")) if evaluated else TrainingCause.FIRST_RELEASE
        request = TrainingRequest(
            batch=frozen["batch"],
            cause=cause,
            reason=_reason(evaluated) if evaluated else cause.meaning,
            verdict=evaluated and evaluated["verdict"],
            report=evaluated and evaluated["report"],
        )
        outlet_events[wanted].extra = request.to_json_dict()

    wait = DataSufficiencySensor(task_id="wait_for_samples", pipeline=name)
    freeze = MlCommandOperator(
        task_id="freeze",
        arguments=["batch", "freeze", name, "--run-id", "{{ run_id }}"],
    )
    predict = PredictOperator(
        task_id="predict",
        pipeline=name,
        batch=BATCH,
        version="{{ ti.xcom_pull(task_ids='freeze')['released'] }}",
    )
    evaluate = EvaluateOperator(task_id="evaluate", pipeline=name, batch=BATCH)
    archive = MlCommandOperator(task_id="archive", arguments=["batch", "settle", name, BATCH])
    return_to_inbox = MlCommandOperator(
        task_id="return_to_inbox",
        arguments=["batch", "return", name, BATCH, "--quarantine-refused"],
    )
    give_back = MlCommandOperator(
        task_id="give_back",
        arguments=["batch", "return", name, BATCH],
        trigger_rule=TriggerRule.ONE_FAILED,
    )
    released, verdict = is_released(freeze.output), judge(evaluate.output)
    requested = request_training()

    wait >> freeze >> released >> [predict, requested]
    predict >> evaluate >> verdict >> [archive, return_to_inbox, requested]
    [freeze, predict, evaluate] >> give_back


def _reason(evaluated: dict[str, Any]) -> str:
    low, high = evaluated["interval"]
    figure = f"{evaluated['metric']} {evaluated['value']:.3f} ({low:.3f} to {high:.3f})"
    return f"{evaluated['verdict']}: {figure} on batch {evaluated['batch']}"


for found in usable_pipelines("evaluation"):
    with pipeline_dag(
        found,
        "evaluation",
        doc=__doc__,
        schedule=found.evaluation.schedule,
        max_consecutive_failed_dag_runs=3,
    ):
        evaluation(found)
