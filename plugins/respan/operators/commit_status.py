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

    Skipped where no revision was detected. A retry reports the same again, which changes nothing.

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


def report_commit_status(
    settings: Settings, *, detected: Any, ended: Sequence[Any], revision: str, scope: str, reason: str
) -> None:
    """Adds the tasks ``report_pending``, beside the others, and ``report``; none where ``ci_cd.status`` is none.

    :param detected: the task after which the revision is known.
    :param ended: tasks with which the run has ended, however it did.
    :param revision: this and the others: templates, as of :class:`CommitStatusOperator`.
    """
    if settings.ci_cd.status == "none":
        return
    pending = CommitStatusOperator(
        task_id="report_pending", pipeline=settings.name, revision=revision, state=CommitState.PENDING.value
    )
    report = CommitStatusOperator(
        task_id="report", pipeline=settings.name, revision=revision, scope=scope, reason=reason
    )
    # Teardowns decide nothing: not whether another task runs, nor how the run ends.
    detected >> pending.as_teardown() >> report.as_teardown()
    ended >> report


def _checked(revision: str) -> str:
    try:
        return check_revision(revision)
    except ValueError as error:
        raise AirflowFailException(str(error)) from None
