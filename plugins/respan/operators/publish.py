"""The task that makes a release of what a training run pushed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from ml import layout
from ml.home import pipeline_storage
from ml.vertex_records import RunOutputs
from respan.failures import told_to_airflow
from respan.operators.command import MlCommandOperator
from respan.triggers.vertex_job import VertexJobTrigger
from respan.vertex.job_report import Report, outputs, report
from respan.vertex.training_run import VertexRun


class PublishOperator(MlCommandOperator):
    """Runs ``python -m ml release publish --no-serve``: the version is there then, and nobody is served by it.

    Where the run ran on Vertex AI, what its components gave is first written to the run's ``outputs.json``, once the
    job has succeeded. Returns ``{"version", "cause", "reason", "revision", "image", "comparison", "lost_classes",
    "new_classes"}``; ``version`` is None for a candidate that is refused, or that a person has to confirm and nobody
    did; ``comparison`` says why. A retry finds the release that is there.

    :param pipeline: the pipeline's name.
    :param run_id: the training run (templated).
    :param start_task_id: the task that started the run.
    :param confirmed_by: the task that asks a person; if it succeeded, the person has confirmed the release.
    """

    template_fields: Sequence[str] = (*MlCommandOperator.template_fields, "run_id")

    def __init__(
        self,
        *,
        pipeline: str,
        run_id: str = "{{ run_id }}",
        start_task_id: str = "start_run",
        confirmed_by: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(arguments=["release", "publish", pipeline, "--run-id", run_id, "--no-serve"], **kwargs)
        self.pipeline = pipeline
        self.run_id = run_id
        self.start_task_id = start_task_id
        self.confirmed_by = confirmed_by

    def execute(self, context: Context) -> Any:
        # Whoever rejects a release skips this task; who wasn't asked has returned nothing.
        if self.confirmed_by is not None and context["ti"].xcom_pull(task_ids=self.confirmed_by):
            self.arguments = [*self.arguments, "--confirm"]
        run = VertexRun.told(context, self.start_task_id)
        if run is None:
            return super().execute(context)
        with told_to_airflow():
            _, job = run.newest()
        found = report(job)
        if not found.state.is_final:  # its last component has ended, and soon so has it
            self.defer(
                trigger=VertexJobTrigger(found.job, None, run.connection, run.poll_seconds),
                method_name="execute_complete",
            )
        if not found.state.is_good:
            raise _not_succeeded(found)
        with told_to_airflow():
            record = RunOutputs(job=found.job, outputs=outputs(job))
            pipeline_storage(self.pipeline).write(layout.run(run.run, layout.RUN_OUTPUTS), record.to_json())
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """The job has ended."""
        if "refused" in event:
            raise AirflowFailException(f"{event['refused']}; then clear this task")
        return self.execute(context)


def _not_succeeded(found: Report) -> AirflowFailException:
    return AirflowFailException(
        f"pipeline job is {found.state.value}: {found.error or 'nothing is published of it'}: clear the component that "
        f"has to run again with all that is downstream; job: {found.link}"
    )
