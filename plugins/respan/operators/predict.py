"""The task that predicts a batch with a released model, on either target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from airflow.sdk import Context

from ml.errors import NotFoundError
from ml.home import pipeline_storage
from ml.names import check_pipeline_name
from ml.settings import Settings, load_settings
from respan.failures import told_to_airflow
from respan.operators.command import MlCommandOperator
from respan.vertex.batch_prediction import (
    BATCH_PREDICTIONS_PAGE,
    CANCELLED,
    SUCCEEDED,
    BatchPrediction,
    BatchPredictionJobLink,
    BatchPredictionJobs,
    failure_of,
    job_page,
)
from respan.vertex.clearing_up import clear_up
from respan.vertex.place import Place, place_of

#: The key of the submitted job's name, in Airflow's task state store.
_SUBMITTED = "batch_prediction_job"


class PredictOperator(MlCommandOperator):
    """Predicts the batch and returns what ``python -m ml predict`` does.

    On the target ``vertex`` a batch prediction job does it with the release as it is in the model registry, where it is
    registered if it isn't yet. It is awaited in the triggerer. A retry goes on with the job that runs or has succeeded;
    another one is submitted only after one that failed or was cancelled. Killing the task cancels the job.

    :param pipeline: the pipeline's name.
    :param batch: the batch's id (templated).
    :param version: the released version (templated, or another task's output).
    """

    template_fields: Sequence[str] = (*MlCommandOperator.template_fields, "batch", "version")
    operator_extra_links = (BatchPredictionJobLink(),)

    def __init__(self, *, pipeline: str, batch: Any, version: Any, **kwargs: Any) -> None:
        arguments = ["predict", check_pipeline_name(pipeline), batch, "--version", version]
        super().__init__(arguments=arguments, **kwargs)
        self.pipeline = pipeline
        self.batch = batch
        self.version = version
        self.job_page = ""
        self._under_way: tuple[BatchPredictionJobs, BatchPrediction] | None = None

    def execute(self, context: Context) -> Any:
        with told_to_airflow():
            settings = load_settings(self.pipeline)
        if settings.target != "vertex":
            return super().execute(context)
        given = self._prediction(context, "write-instances")
        if given["finished"] or not given["instances"]:
            return self._prediction(context, "collect")
        with told_to_airflow():
            return self._submit(context, settings, given)

    def ended(self, context: Context, event: dict[str, Any], doing: str, own: bool) -> Any:
        """Resumes when the job has ended; ``own``: whether this try submitted it."""
        with told_to_airflow():
            place = place_of(load_settings(self.pipeline))
            self.job_page = job_page(event["job"], place)
            job = BatchPredictionJobs(place).get(event["job"])
            if job is None:
                raise NotFoundError(f"can't {doing}: the job was deleted: clear this task to submit another one")
            if job.state.name not in SUCCEEDED and not _was_killed(job, own):
                raise failure_of(job, doing, place)
        if job.state.name not in SUCCEEDED:
            self.log.info("%s was cancelled with an earlier try of this task: submitting another one", job.name)
            return self.execute(context)
        return self._prediction(context, "collect", f"--folder={job.output_info.gcs_output_directory}")

    def on_kill(self) -> None:
        super().on_kill()
        if self._under_way is not None:
            jobs, wanted = self._under_way
            clear_up(
                lambda: jobs.cancel_all(wanted),
                f"a job to {wanted.doing} runs on, unless it has ended, and the next try waits for it: cancel it at "
                f"{BATCH_PREDICTIONS_PAGE}?project={jobs.place.project}",
            )

    def _prediction(self, context: Context, command: str, *options: str) -> Any:
        """What ``python -m ml prediction <command>`` returns."""
        self.arguments = ["prediction", command, self.pipeline, self.batch, "--version", self.version, *options]
        return super().execute(context)

    def _submit(self, context: Context, settings: Settings, given: dict[str, Any]) -> NoReturn:
        from respan.vertex.registry import ensure_registered

        place, version = place_of(settings), int(given["version"])
        wanted = BatchPrediction(
            settings=settings,
            batch=given["batch"],
            version=version,
            model=ensure_registered(place, settings, pipeline_storage(self.pipeline), version),
            instances=given["instances"],
            output=given["output"],
        )
        jobs = BatchPredictionJobs(place)
        store = context["task_state_store"]
        known: Any = store.get(_SUBMITTED)
        job = jobs.hopeful(wanted, known)
        own = job is None
        if job is None:
            self._under_way = jobs, wanted
            job = jobs.create(wanted)
        store.set(_SUBMITTED, job.name)
        self._wait(place, settings, job.name, {"doing": wanted.doing, "own": own})

    def _wait(self, place: Place, settings: Settings, job: str, kwargs: dict[str, Any]) -> NoReturn:
        from respan.triggers.batch_prediction import BatchPredictionTrigger

        self.job_page = job_page(job, place)
        self.log.info("waiting for batch prediction job %s: %s", job, self.job_page)
        trigger = BatchPredictionTrigger(
            connection=place.connection,
            project=place.project,
            region=place.region,
            job=job,
            poll_seconds=settings.vertex.poll_seconds,
        )
        self.defer(trigger=trigger, method_name="ended", kwargs=kwargs)


def _was_killed(job: Any, own: bool) -> bool:
    """Whether the job of an earlier try was cancelled: clearing a task that waits does that, but maybe only after the
    next try has found the job."""
    return job.state.name == CANCELLED and not own
