"""The tasks that report a revision's status to its git host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from ml.ci_cd.names import check_revision
from ml.settings import Settings, load_settings
from respan.commit_status import CommitState, reporter
from respan.commit_status.outcome import outcome
from respan.failures import told_to_airflow
from respan.links import run_url


class CommitStatusOperator(BaseOperator):
    """Reports the status of ``revision`` to the host that ``ci_cd.status`` names, with a link to the run.

    Skipped where ``revision`` is empty: none was detected. A retry reports the same again, which changes nothing.

    As a teardown (:func:`report_commit_status` makes it one) it fails neither the run nor a task of it by failing.

    :param pipeline: the pipeline's name.
    :param revision: the commit's full id (templated); empty or None: there is none.
    :param state: what to report; None: what the run's tasks say by then (:mod:`respan.commit_status.outcome`).
    :param done: the task whose success means that the revision went all the way.
    :param scope: what the change needs (templated), for the description.
    :param reason: why (templated), for the description.
    """

    template_fields: Sequence[str] = ("revision", "scope", "reason")
    ui_color = "#eeeeee"

    def __init__(
        self,
        *,
        pipeline: str,
        revision: Any,
        state: Literal["pending"] | None = None,
        done: str = "processed",
        scope: Any = "",
        reason: Any = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.revision = revision
        self.state = state
        self.done = done
        self.scope = scope
        self.reason = reason

    def execute(self, context: Context) -> dict[str, str]:
        if self.revision in (None, "", "None"):
            raise AirflowSkipException("no revision was detected, so there is nothing to report")
        state, description = self._outcome(context)
        url = run_url(self.dag_id, context["run_id"])
        try:
            with told_to_airflow():
                reporter(load_settings(self.pipeline)).report(_checked(self.revision), state, description, url)
        except AirflowException as error:
            self.log.error("%s", error)
            self.log.warning("%s is not reported for %s; the run goes on as it is", state.value, self.revision)
            raise
        self.log.info("reported for %s: %s, %s", self.revision, state.value, description)
        return {"state": state.value, "description": description}

    def _outcome(self, context: Context) -> tuple[CommitState, str]:
        if self.state is not None:
            return CommitState(self.state), "running"
        instance: Any = context["ti"]
        dag: Any = context["dag"]
        run_id = context["run_id"]
        states = instance.get_task_states(dag_id=self.dag_id, run_ids=[run_id]).get(run_id, {})
        deciding = [
            task.task_id for task in dag.topological_sort() if not task.is_teardown or task.on_failure_fail_dagrun
        ]
        return outcome(states, deciding, done=self.done, scope=self.scope or "", reason=self.reason or "")


def report_commit_status(settings: Settings, *, detected: Any, decided: Any, ended: Sequence[Any]) -> None:
    """Adds the tasks ``report_pending``, beside the others, and ``report``; none where ``ci_cd.status`` is none.

    :param detected: the task that returns ``{"revision", …}``; nothing is reported where it was skipped.
    :param decided: the task that pushes the XComs ``scope`` and ``reason``.
    :param ended: the tasks with which the run has ended, however it did.
    """
    if settings.ci_cd.status == "none":
        return
    # An undefined value fails a template: where a task was skipped, its output is None.
    revision = f"{{{{ (ti.xcom_pull(task_ids='{_task_id(detected)}') or {{}}).get('revision') or '' }}}}"
    scope, reason = (
        f"{{{{ ti.xcom_pull(task_ids='{_task_id(decided)}', key='{key}') or '' }}}}" for key in ("scope", "reason")
    )
    pending = CommitStatusOperator(
        task_id="report_pending", pipeline=settings.name, revision=revision, state=CommitState.PENDING.value
    )
    report = CommitStatusOperator(
        task_id="report", pipeline=settings.name, revision=revision, scope=scope, reason=reason
    )
    # Teardowns decide nothing: not whether another task runs, nor how the run ends.
    detected >> pending.as_teardown() >> report.as_teardown()
    ended >> report


def _task_id(task: Any) -> str:
    """Of an operator, or of what a function decorated with ``@task`` returns."""
    found: str = getattr(task, "operator", task).task_id
    return found


def _checked(revision: str) -> str:
    try:
        return check_revision(revision)
    except ValueError as error:
        raise AirflowFailException(str(error)) from None
