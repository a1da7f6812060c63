"""A task that is one component of a TFX pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from respan.failures import told_to_airflow
from respan.links import VertexLogLink
from respan.operators.command import MlCommandOperator
from respan.triggers.vertex_job import VertexJobTrigger
from respan.vertex.job_report import Report, State, report
from respan.vertex.mirroring import Step, next_step, remember, remembered
from respan.vertex.training_run import VertexRun


class TfxNodeOperator(MlCommandOperator):
    """One node of a pipeline's compiled graph, where the run runs.

    On the target ``local``: runs it through TFX's own launcher (driver, cache, executor, publisher). What the run
    reads was fixed when it started (``ml.runs``). A retry or a cleared task runs the node again in the same TFX run,
    and takes from TFX's cache what is unchanged.

    On the target ``vertex``: waits in the triggerer until Vertex AI has run it, and succeeds or fails as that did.
    Returns ``{"node", "state", "started", "ended", "seconds", "link"}``. Vertex AI's failure is not retried; clearing
    the task starts the run's next attempt, once however many tasks are cleared. A task that is cleared or marked while
    it waits cancels the job.

    :param pipeline: the pipeline's name.
    :param node: the node's id in ``graph.json``.
    :param component: its type, whose last part the UI shows as the task's type.
    :param run_id: the training run (templated).
    :param start_task_id: the task that started the run.
    """

    template_fields: Sequence[str] = (*MlCommandOperator.template_fields, "node")
    ui_color = "#fdebd3"
    operator_extra_links = (VertexLogLink(),)

    def __init__(
        self,
        *,
        pipeline: str,
        node: str,
        component: str,
        run_id: str = "{{ run_id }}",
        start_task_id: str = "start_run",
        **kwargs: Any,
    ) -> None:
        super().__init__(arguments=["run-node", pipeline, "--node", node, "--run-id", run_id], **kwargs)
        self.node = node
        self.component = component
        self.start_task_id = start_task_id
        self.vertex_link = ""

    @property
    def operator_name(self) -> str:
        return self.component.rsplit(".", 1)[-1]

    def execute(self, context: Context) -> Any:
        run = VertexRun.told(context, self.start_task_id)
        if run is None:
            return super().execute(context)
        with told_to_airflow():
            attempt, job = run.newest()
            found = report(job, self.node)
            step = next_step(found, remembered(context), _tries(context))
            if step is Step.AGAIN:
                return self._again(context, run, attempt, found)
        if step is Step.AGAIN_AFTER_END:
            self._wait(context, run, found, node=None, method="again_after_end")
        return self._mirror(context, run, found)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """The component, or the job, has ended."""
        return self._ended(context, self._run_of(context), _told(context, event))

    def again_after_end(self, context: Context, event: dict[str, Any]) -> Any:
        """The job has ended in which the cleared component had failed."""
        run, ended = self._run_of(context), _told(context, event)
        with told_to_airflow():
            attempt, job = run.newest()
            if job.name != ended.job:  # another cleared task was quicker
                return self._mirror(context, run, report(job, self.node))
            return self._again(context, run, attempt, ended)

    def _run_of(self, context: Context) -> VertexRun:
        run = VertexRun.told(context, self.start_task_id)
        if run is None:
            raise AirflowFailException(f"{self.start_task_id} was cleared meanwhile: clear this task, too")
        return run

    def _again(self, context: Context, run: VertexRun, attempt: int, last: Report) -> Any:
        if not last.job_state.is_final:
            run.jobs.cancel(run.job_id(attempt))
        run.submit(attempt + 1)
        newest, job = run.newest()
        self.log.info("attempt %d of the run: %s; what succeeded before comes from the cache", newest, job.name)
        return self._mirror(context, run, report(job, self.node))

    def _mirror(self, context: Context, run: VertexRun, found: Report) -> Any:
        self.vertex_link = found.link
        if found.state.is_final:
            return self._ended(context, run, found)
        return self._wait(context, run, found, node=self.node, method="execute_complete")

    def _wait(self, context: Context, run: VertexRun, found: Report, *, node: str | None, method: str) -> Any:
        remember(context, found.job, waiting=node is not None)
        self.log.info("waiting for %s in %s", node or "the end", found.job)
        self.defer(
            trigger=VertexJobTrigger(found.job, node, run.connection, run.poll_seconds),
            method_name=method,
        )

    def _ended(self, context: Context, run: VertexRun, found: Report) -> Any:
        self.vertex_link = found.link
        if found.state.is_good:
            self.log.info(
                "%s on Vertex AI: %s in %.1f s; its log: %s",
                self.node,
                found.state.value,
                found.seconds or 0,
                found.link,
            )
            return {
                "node": self.node,
                "state": found.state.value,
                "started": found.started,
                "ended": found.ended,
                "seconds": found.seconds,
                "link": found.link,
            }
        remember(context, found.job, waiting=False)
        if found.state is State.CANCELLED:
            return self._cancelled(context, run, found)
        error = found.error.removeprefix(f"{self.node} failed: ").rstrip(".")
        remedy = "fix it, then clear this task: what succeeded is taken from the cache"
        if found.state is State.NOT_RUN:
            raise AirflowFailException(f"{self.node} was not run: {error}: {remedy}; job: {found.link}")
        raise AirflowFailException(f"component {self.node} failed: {error}: {remedy}; log: {found.link}")

    def _cancelled(self, context: Context, run: VertexRun, found: Report) -> Any:
        """Where another task was cleared while both waited, the run goes on with its next attempt, which may be about
        to be submitted: that is why this is left to the task's retries."""
        with told_to_airflow():
            _, job = run.newest()
        if job.name != found.job:
            return self._mirror(context, run, report(job, self.node))
        raise AirflowException(
            f"{self.node} was not finished: the pipeline job was cancelled, by a person or with a cleared task: to run "
            f"it again, clear this task; job: {found.link}"
        )


def _told(context: Context, event: dict[str, Any]) -> Report:
    if "refused" in event:
        remember(context, event["job"], waiting=False)
        raise AirflowFailException(f"{event['refused']}; then clear this task")
    return Report.from_json_dict(event)


def _tries(context: Context) -> int:
    tries: int = context["ti"].max_tries
    return tries
