"""The tasks that start a training run: within its own DAG, and from another one, which waits for it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, DagRunTriggerException

from ml.names import check_pipeline_name
from respan.failures import told_to_airflow
from respan.links import TrainingRunLink, VertexJobLink
from respan.operators.command import MlCommandOperator
from respan.training_request import cause_of_run
from respan.vertex.console import job_page
from respan.vertex.job_report import report
from respan.vertex.mirroring import submitted
from respan.vertex.training_run import XCOM_KEY, VertexRun

#: Seconds between two looks at the training run.
_POLL_SECONDS = 2

#: Airflow's own limit, in characters.
_LONGEST_NOTE = 1_000


class StartRunOperator(MlCommandOperator):
    """Starts the training run that has the DAG run's id, from the DAG run's params (see ``dags/training.py``).

    On the model's side, since it reads the settings of the run's revision, whose ``settings.py`` is not Airflow's to
    run. Returns ``{"run", "window", "cause", "reason", "revision", "image", "target"}``. A retry finds the run as it
    was started.

    On the target ``vertex`` the run is compiled and submitted as a pipeline job, whose name is returned as ``job``. A
    retry finds the job that is there. Where the task was cleared after the job had failed or was cancelled, the run's
    next attempt is submitted.

    :param pipeline: the pipeline's name.
    """

    operator_extra_links = (VertexJobLink(),)

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(arguments=["run", "start", check_pipeline_name(pipeline)], **kwargs)
        self.pipeline = pipeline
        self.vertex_link = ""

    def execute(self, context: Context) -> Any:
        run: Any = context["dag_run"]
        cause = cause_of_run(run.run_type, context["params"]["cause"])
        options = list(_options(context["params"], run_id=context["run_id"], cause=cause.value))
        if any("\0" in option or _is_no_text(option) for option in options):
            raise AirflowFailException("a param holds a character that is no text, such as NUL: trigger a new run")
        self.arguments = [*self.arguments, *options]
        started = super().execute(context)
        if started["target"] == "local":
            return started
        return started | {"job": self._submit(context, started["run"])}

    def _submit(self, context: Context, run_id: str) -> str:
        """The resource name of the run's job."""
        with told_to_airflow():
            run = VertexRun.of(self.pipeline, run_id)
        # Before the job is there: it has to be found and ended whatever becomes of this task.
        context["ti"].xcom_push(key=XCOM_KEY, value=run.to_json_dict())
        self.arguments = ["run", "spec", self.pipeline, f"--run-id={run_id}", f"--project={run.project}"]
        super().execute(context)
        with told_to_airflow():
            job = submitted(context, run)
        self.vertex_link = job_page(job)
        self.log.info("pipeline job: %s", self.vertex_link)
        return job


class EndRunOperator(BaseOperator):
    """Cancels what still runs of a training run on Vertex AI: whatever ended its DAG run, no job is left behind.

    For a teardown. Nothing to do on the target ``local``, or where all went well.

    :param start_task_id: the task that started the run.
    """

    ui_color = "#f3f3f3"

    def __init__(self, *, start_task_id: str = "start_run", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start_task_id = start_task_id

    def execute(self, context: Context) -> list[str]:
        """The resource names of the cancelled jobs."""
        run = VertexRun.told(context, self.start_task_id)
        if run is None:
            self.log.info("nothing of this run runs on Vertex AI")
            return []
        cancelled = []
        with told_to_airflow():
            for attempt, job in enumerate(run.attempts(), 1):
                state = report(job)
                if state.state.is_final:
                    self.log.info("%s has ended: %s", job.name, state.state.value)
                elif run.jobs.cancel(run.job_id(attempt)):
                    self.log.info("cancelled %s, which was %s", job.name, state.state.value)
                    cancelled.append(job.name)
        return cancelled


def _options(params: Mapping[str, Any], *, run_id: str, cause: str) -> Iterator[str]:
    """Each with its value in one argument, so that none can pass for an option of its own."""
    yield f"--run-id={run_id}"
    yield f"--cause={cause}"
    if params["window"]:
        yield f"--window={','.join(map(str, sorted(params['window'])))}"
    for key, value in _settings(params).items():
        yield f"--set={key}={value if isinstance(value, str) else json.dumps(value)}"
    for name in ("reason", "revision"):
        if params[name]:
            yield f"--{name}={params[name]}"


def _settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """The form's own field for the target is one of the settings."""
    return {**params["settings"], **({"target": params["target"]} if params["target"] else {})}


def _is_no_text(argument: str) -> bool:
    try:
        os.fsencode(argument)
    except UnicodeEncodeError:
        return True
    return False


class TriggerTrainingOperator(BaseOperator):
    """Starts a run of ``training_dag_id`` and waits for its end in the triggerer.

    Whoever asks for ``training_run_id`` again (a retry, a cleared task, another run with the same id) finds the
    training run that is there and waits for that one: never a second run. To try a failed training again, clear the
    failed task there, then this one. Returns ``{"run_id", "release"}``: what the training's ``publish`` task returned,
    None where it did not run.

    :param training_dag_id: the DAG to run.
    :param training_run_id: the id of the training run (templated): the same one for the same work.
    :param conf: its params (templated).
    :param note: shown with the training run in the UI (templated); the first 1,000 characters.
    :param result_task_id: the task of it whose output is returned as ``release``.
    """

    template_fields: Sequence[str] = ("training_dag_id", "training_run_id", "conf", "note")
    template_fields_renderers = {"conf": "json"}  # noqa: RUF012 - Airflow's own form
    ui_color = "#f3e8fb"
    operator_extra_links = (TrainingRunLink(),)

    def __init__(
        self,
        *,
        training_dag_id: str,
        training_run_id: str,
        conf: Any,
        result_task_id: str,
        note: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.training_dag_id = training_dag_id
        self.training_run_id = training_run_id
        self.conf = conf
        self.note = note
        self.result_task_id = result_task_id

    def execute(self, context: Context) -> Any:
        run_id = self.training_run_id
        instance: Any = context["ti"]
        if instance.get_dr_count(dag_id=self.training_dag_id, run_ids=[run_id]):
            self.log.info("waiting for %s, which is there already", run_id)
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
        run_id = self.training_run_id
        instance: Any = context["ti"]
        state = instance.get_dagrun_state(dag_id=self.training_dag_id, run_id=run_id)
        if state == "failed":
            raise AirflowFailException(
                f"training run {run_id} failed: see its log, clear its failed task, then clear this one"
            )
        if state != "success":
            raise AirflowException(f"training run {run_id} is {getattr(state, 'value', state)}: look again")
        release = instance.xcom_pull(dag_id=self.training_dag_id, run_id=run_id, task_ids=self.result_task_id)
        return {"run_id": run_id, "release": release}

    def _trigger(self, run_id: str) -> Any:
        # Imports SQLAlchemy and Airflow's models: not when a DAG file is parsed.
        from airflow.providers.standard.triggers.external_task import DagStateTrigger

        ended: Any = ["success", "failed"]
        return DagStateTrigger(dag_id=self.training_dag_id, states=ended, run_ids=[run_id], poll_interval=_POLL_SECONDS)
