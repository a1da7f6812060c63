"""The task that starts a training run and waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, DagRunTriggerException

from respan.links import TrainingRunLink
from respan.names import training_run_id

#: Seconds between two looks at the training run.
_POLL_SECONDS = 5

#: Airflow's own limit, in characters.
_LONGEST_NOTE = 1_000


class TriggerTrainingOperator(BaseOperator):
    """Starts a run of ``training_dag_id`` and waits for its end in the triggerer.

    The training run's id is made from this run's, so a retry, or a cleared task, finds the run that it started and
    waits for that one: never a second run. To try a failed training again, clear the failed task there, then this one.
    Returns ``{"run_id", "release"}``: what the training's ``publish`` task returned, None where it did not run.

    :param training_dag_id: the DAG to run.
    :param conf: its params (templated).
    :param note: shown with the training run in the UI (templated); the first 1,000 characters.
    :param result_task_id: the task of it whose output is returned as ``release``.
    """

    template_fields: Sequence[str] = ("training_dag_id", "conf", "note")
    template_fields_renderers = {"conf": "json"}  # noqa: RUF012 - Airflow's own form
    ui_color = "#f3e8fb"
    operator_extra_links = (TrainingRunLink(),)

    def __init__(
        self, *, training_dag_id: str, conf: dict[str, Any], result_task_id: str, note: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.training_dag_id = training_dag_id
        self.conf = conf
        self.note = note
        self.result_task_id = result_task_id

    def execute(self, context: Context) -> Any:
        run_id = training_run_id(context["run_id"])
        instance: Any = context["ti"]
        if instance.get_dr_count(dag_id=self.training_dag_id, run_ids=[run_id]):
            self.log.info("waiting for %s, which an earlier try started", run_id)
            self.defer(trigger=self._trigger(run_id), method_name="execute_complete")
        if instance.get_dag(self.training_dag_id).is_paused:
            raise AirflowFailException(
                f"{self.training_dag_id} is paused, so the training would never start: unpause it, then clear this task"
            )
        raise DagRunTriggerException(
            trigger_dag_id=self.training_dag_id,
            dag_run_id=run_id,
            conf=self.conf,
            logical_date=None,
            reset_dag_run=False,
            skip_when_already_exists=False,
            wait_for_completion=True,
            allowed_states=["success"],
            failed_states=["failed"],
            poke_interval=_POLL_SECONDS,
            deferrable=True,
            note=self.note and self.note[:_LONGEST_NOTE],
        )

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        run_id = training_run_id(context["run_id"])
        instance: Any = context["ti"]
        state = instance.get_dagrun_state(dag_id=self.training_dag_id, run_id=run_id)
        if state == "failed":
            raise AirflowFailException(
                f"training run {run_id} failed: see its log, clear its failed task, then clear this one"
            )
        if state != "success":
            raise AirflowException(f"training run {run_id} is {state}: look again")
        release = instance.xcom_pull(dag_id=self.training_dag_id, run_id=run_id, task_ids=self.result_task_id)
        return {"run_id": run_id, "release": release}

    def _trigger(self, run_id: str) -> Any:
        # Imports SQLAlchemy and Airflow's models: not when a DAG file is parsed.
        from airflow.providers.standard.triggers.external_task import DagStateTrigger

        ended: Any = ["success", "failed"]
        return DagStateTrigger(dag_id=self.training_dag_id, states=ended, run_ids=[run_id], poll_interval=_POLL_SECONDS)
