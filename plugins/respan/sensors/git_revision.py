"""The task that finds the revision to process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NoReturn

from airflow.sdk import BaseOperator, Context, DagRunState
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from ml.ci_cd.revisions import check_revision_name, claim, processed, take_over
from ml.errors import ConflictError, RemoteError
from ml.home import pipeline_storage
from ml.settings import Settings, load_settings
from respan.failures import told_to_airflow
from respan.git_revision import refusal, remote, watched_branch
from respan.triggers.git_revision import GitRemoteTrigger, GitRevisionTrigger

SCOPES = ("auto", "modules", "whole")


class GitRevisionSensor(BaseOperator):
    """Finds the revision of ``pipeline`` that this run processes, and claims it for the run.

    Returns ``{"revision", "previous", "branch"}``; ``previous`` is the revision of the branch that was processed last,
    None before the first. It looks at the branch itself, whatever an event told, so that several pushes are one change.
    A claim holds for good, so that each revision has one run: a retry finds its own, a second run skips. Another run
    takes a revision over only if it was started by hand (or by a program: the API, a TriggerDagRunOperator) and doesn't
    wait, and the holder failed or is gone; if the holder succeeded, then with a ``scope`` other than auto.

    A remote that can't be reached is asked again, in the triggerer, for ``ci_cd.unreachable_seconds``. A branch that
    isn't there, or an empty repository, fails at once.

    :param revision: process this one, a full commit id; None or empty for the branch's head.
    :param branch: None or empty for ``ci_cd.branch``.
    :param scope: auto, or modules or whole: process it also if it is processed already (without ``wait``, or with
        ``revision``).
    :param wait: whether to wait, as long as it takes and through outages, until the branch has a revision that is
        neither processed nor claimed; else the task skips where there is none.
    """

    template_fields: Sequence[str] = ("pipeline", "revision", "branch", "scope")
    ui_color = "#e6f7ec"

    def __init__(
        self,
        *,
        pipeline: str,
        revision: str | None = None,
        branch: str | None = None,
        scope: str = "auto",
        wait: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.revision = revision
        self.branch = branch
        self.scope = scope
        self.wait = wait

    def execute(self, context: Context) -> dict[str, Any]:
        return self._find(context, until=None)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        if event is None:
            raise AirflowException("the trigger ended without an event")
        if "error" in event:
            raise _given_up(event["error"])
        return self._find(context, until=event.get("until"))

    def _find(self, context: Context, until: float | None) -> dict[str, Any]:
        """Looks once; ``until`` when an unreachable remote is given up, None where it was reachable so far."""
        if self.scope not in SCOPES:
            raise AirflowFailException(f"{self.scope!r} is no scope: give one of {', '.join(SCOPES)}")
        with told_to_airflow():
            settings = load_settings(self.pipeline)
            branch = watched_branch(settings, self.branch)
            if self.revision:
                return self._take(context, branch, check_revision_name(self.revision))
            try:
                head = remote(settings).head(branch)
            except RemoteError as error:
                self.log.info("%s", error)
                self._wait_for_remote(settings, until, error)
            return self._take(context, branch, head)

    @property
    def _waits(self) -> bool:
        return self.wait and not self.revision

    @property
    def _again(self) -> bool:
        """Whether what is processed already is wanted. Who waits for something new never wants it."""
        return self.scope != "auto" and not self._waits

    def _asked(self, run_type: str) -> bool:
        """Whether somebody asked for what this run does, and may be given what another run failed to process. Else a
        DAG that always runs again would try a revision that fails for ever."""
        return run_type in ("manual", "operator_triggered") and not self._waits

    def _wait_for_remote(self, settings: Settings, until: float | None, error: RemoteError) -> NoReturn:
        if self.wait:
            self._wait_for_revision()
        if until is None:
            until = time.time() + settings.ci_cd.unreachable_seconds
        elif time.time() >= until:
            raise _given_up(error)
        trigger = GitRemoteTrigger(self.pipeline, self.branch or None, until)
        self.defer(trigger=trigger, method_name="execute_complete")

    def _wait_for_revision(self) -> NoReturn:
        self.defer(trigger=GitRevisionTrigger(self.pipeline, self.branch or None), method_name="execute_complete")

    def _take(self, context: Context, branch: str, revision: str) -> dict[str, Any]:
        storage = pipeline_storage(self.pipeline)
        last = processed(storage, branch)
        if last is not None and last.revision == revision and not self.revision and not self._again:
            self._nothing(
                f"{revision}, the head of {branch}, is processed already; to process it again, start a run by hand "
                "with the scope modules or whole"
            )
        self._claim(context, revision)
        self.log.info("processing %s of %s, after %s", revision, branch, last.revision if last else "none")
        return {"revision": revision, "previous": last.revision if last else None, "branch": branch}

    def _claim(self, context: Context, revision: str) -> None:
        storage = pipeline_storage(self.pipeline)
        run: Any = context["dag_run"]
        me = f"{run.dag_id}/{run.run_id}"
        while (holder := claim(storage, revision, run=me).run) != me:
            why = refusal(
                revision,
                holder,
                _run_state(context, holder),
                asked=self._asked(run.run_type),
                again=self._again,
            )
            if why:
                self._nothing(why)
            try:
                take_over(storage, revision, run=me, from_run=holder)
            except ConflictError:
                continue  # another run was faster: see who
            self.log.info("took %s over from run %s", revision, holder)

    def _nothing(self, why: str) -> NoReturn:
        if not self._waits:
            raise AirflowSkipException(why)
        self.log.info("%s", why)
        self._wait_for_revision()


def _given_up(error: object) -> AirflowFailException:
    return AirflowFailException(f"{error}; given up after ci_cd.unreachable_seconds: clear this task to try again")


def _run_state(context: Context, run: str) -> str | None:
    """The state of the run ``<dag id>/<run id>``; None where there is no such run any more."""
    dag_id, _, run_id = run.partition("/")
    instance: Any = context["ti"]
    if not instance.get_dr_count(dag_id=dag_id, run_ids=[run_id]):
        return None
    return str(DagRunState(instance.get_dagrun_state(dag_id=dag_id, run_id=run_id)).value)
