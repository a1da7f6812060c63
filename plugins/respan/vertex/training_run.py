"""A training run on Vertex AI: its attempts, each a pipeline job, and how the next one is submitted.

The id of a job follows from the pipeline, the run and the number of the attempt, so that whoever submits an attempt a
second time finds the first one. A run has a next attempt only after the last one failed or was cancelled; what had
succeeded in it comes from Vertex AI's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import count
from typing import Any

from ml import layout
from ml.errors import ConflictError, NotFoundError, SettingsError
from ml.home import pipeline_storage
from ml.runs import TrainingRun, read_run
from ml.settings import Settings, load_settings
from respan.vertex.names import labels, resource_id
from respan.vertex.pipeline_jobs import PipelineJobs
from respan.vertex.place import Place, place_of

#: Under this key the task that starts a run on Vertex AI tells the others where it is. A local run has no such output.
XCOM_KEY = "vertex"


@dataclass(frozen=True)
class VertexRun:
    """``run`` is the run's safe id, ``poll_seconds`` how often its job is looked at."""

    pipeline: str
    run: str
    connection: str
    project: str
    region: str
    poll_seconds: float

    @classmethod
    def of(cls, pipeline: str, run_id: str) -> VertexRun:
        """The run as its settings place it. Blocks: it may read the connection."""
        run = read_run(pipeline_storage(pipeline), run_id)
        settings = _settings_of(run)
        place = place_of(settings)
        return cls(pipeline, run.run, place.connection, place.project, place.region, settings.vertex.poll_seconds)

    @classmethod
    def told(cls, context: Any, start_task_id: str) -> VertexRun | None:
        """The run that the task ``start_task_id`` of this DAG run started on Vertex AI; None for a local one."""
        document = context["ti"].xcom_pull(task_ids=start_task_id, key=XCOM_KEY)
        return cls(**document) if document else None

    def to_json_dict(self) -> dict[str, Any]:
        return asdict(self)

    def job_id(self, attempt: int) -> str:
        return resource_id(self.pipeline.replace("_", "-"), self.run, str(attempt))

    def job_name(self, attempt: int) -> str:
        return self.jobs.name(self.job_id(attempt))

    @cached_property
    def jobs(self) -> PipelineJobs:
        return PipelineJobs(Place(self.connection, self.project, self.region))

    def attempts(self) -> Iterator[Any]:
        """The run's jobs, from the first attempt to the newest."""
        for attempt in count(1):
            job = self.jobs.get(self.job_id(attempt))
            if job is None:
                return
            yield job

    def newest(self) -> tuple[int, Any]:
        """The newest attempt: its number, and the job. Raises ``NotFoundError`` where there is none."""
        numbered = list(enumerate(self.attempts(), 1))
        if not numbered:
            raise NotFoundError(
                f"run {self.run} has no pipeline job {self.job_name(1)}: it was deleted; trigger a new run"
            )
        return numbered[-1]

    def submit(self, attempt: int) -> None:
        """Starts the attempt's job, unless it is there already, as after a call whose answer was lost.

        Raises ``ConflictError`` where the id is that of a job that writes elsewhere: another deployment's.
        """
        job = job_to_submit(self.pipeline, self.run)
        job_id = self.job_id(attempt)
        if not self.jobs.create(job, job_id):
            found = self.jobs.get(job_id)
            ours, theirs = job.runtime_config.gcs_output_directory, found and found.runtime_config.gcs_output_directory
            if theirs and ours != theirs:
                raise ConflictError(
                    f"pipeline job {job_id} is there already and writes to {theirs}, not {ours}: another deployment "
                    "uses this project; trigger a run with another id"
                )


def _settings_of(run: TrainingRun) -> Settings:
    """The installed settings, with what the run was given in place of their values."""
    return load_settings(run.pipeline, run.settings)


def job_to_submit(pipeline: str, run_id: str) -> Any:
    """The ``PipelineJob`` of a run: its compiled document, with what the settings say now of account and network.

    Raises ``SettingsError`` for a document that is no ``PipelineJob``.
    """
    from google.cloud.aiplatform_v1.types import PipelineJob
    from google.protobuf.json_format import Parse, ParseError

    storage = pipeline_storage(pipeline)
    run = read_run(storage, run_id)
    settings = _settings_of(run)
    name = layout.run(run.run, layout.VERTEX_JOB)
    job = PipelineJob()
    try:
        Parse(storage.read(name), PipelineJob.pb(job))
    except ParseError as error:
        raise SettingsError(
            f"{storage.uri(name)} is no pipeline job: {' '.join(str(error).split())}: clear start_run"
        ) from error
    vertex = settings.vertex
    job.labels.update(labels(settings, run=run.run))
    if vertex.service_account:
        job.service_account = vertex.service_account
    if vertex.network:
        job.network = vertex.network
    if vertex.encryption_key:
        job.encryption_spec.kms_key_name = vertex.encryption_key
    return job
