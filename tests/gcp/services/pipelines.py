"""Vertex AI's pipelines: jobs are checked, kept, and run as their specs say.

Rules are from the documentation of ``google.cloud.aiplatform_v1``: the messages of ``pipeline_service`` and
``pipeline_job``, and the client's methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from threading import Condition
from typing import TYPE_CHECKING, Any, cast

import grpc
from google.cloud import aiplatform_v1 as t
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from tests.gcp.calls import Call
from tests.gcp.service import Method, Refusal
from tests.gcp.services.artifacts import MetadataStore
from tests.gcp.services.pipelines_containers import ContainerExecutor
from tests.gcp.services.pipelines_executors import Executor
from tests.gcp.services.pipelines_launch import Surroundings
from tests.gcp.services.pipelines_plan import tasks_of
from tests.gcp.services.pipelines_requests import check_job, check_spec, parameters_of, spec_of
from tests.gcp.services.pipelines_run import JobState, Run
from tests.gcp.services.resource_listing import Fields, filtered, ordered, page
from tests.gcp.services.vertex_resources import (
    canonical,
    check_acting_as,
    failed_precondition,
    last,
    not_found,
    now,
)

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud


def _time(name: str) -> Callable[[Any], str]:
    def text(run: Run) -> str:
        value = getattr(run.job, name)
        return value.isoformat() if value else ""

    return text


_TIMES: Fields = {name: _time(name) for name in ("create_time", "update_time", "start_time", "end_time")}
_FIELDS: Fields = {
    **_TIMES,
    "pipeline_name": lambda run: run.pipeline,
    "display_name": lambda run: run.job.display_name,
    "pipeline_job_user_id": lambda run: last(run.job.name),
    "state": lambda run: run.job.state.name,
    "labels": lambda run: dict(run.job.labels),
    "template_uri": lambda run: run.job.template_uri,
}


class PipelineService:
    """``PipelineService``. ``executor`` runs the tasks' containers; None: as processes of this machine.

    A test may also act as the service's other users do: ``cancel``, ``pause``, ``resume``, ``fail``; names of jobs may
    be given by their ends. Metadata is kept as long as this object lives.
    """

    name = "google.cloud.aiplatform.v1.PipelineService"

    def __init__(self, executor: Executor | None = None) -> None:
        self._lock = Condition()
        self._forget(executor or ContainerExecutor())
        lro, empty = operations_pb2.Operation, empty_pb2.Empty
        self.methods: Mapping[str, Method] = {
            "CreatePipelineJob": Method(
                t.CreatePipelineJobRequest, t.PipelineJob, "aiplatform.pipelineJobs.create", self._create
            ),
            "GetPipelineJob": Method(t.GetPipelineJobRequest, t.PipelineJob, "aiplatform.pipelineJobs.get", self._get),
            "ListPipelineJobs": Method(
                t.ListPipelineJobsRequest, t.ListPipelineJobsResponse, "aiplatform.pipelineJobs.list", self._list
            ),
            "CancelPipelineJob": Method(
                t.CancelPipelineJobRequest, empty, "aiplatform.pipelineJobs.cancel", self._cancel
            ),
            "DeletePipelineJob": Method(
                t.DeletePipelineJobRequest, lro, "aiplatform.pipelineJobs.delete", self._delete
            ),
        }

    def attach(self, cloud: LoopbackCloud) -> None:
        self._cloud = cloud
        self.metadata = MetadataStore(f"projects/{cloud.project_number}/locations/{cloud.region}")
        self._around = Surroundings(
            cloud.project,
            cloud.project_number,
            cloud.region,
            self.metadata,
            self.executor,
            self._lock,
            count(5_300_000_000_000_000_001),
        )
        self.executor.attach(cloud)

    def detach(self) -> None:
        """Cancels what runs, and returns when it has ended."""
        with self._lock:
            for run in self._runs.values():
                if not run.ended:
                    run.cancel()
        self.executor.close()

    def _forget(self, executor: Executor) -> None:
        self.executor = executor
        #: How many jobs were ever made.
        self.created = 0
        self._queues = False
        self._runs: dict[str, Run] = {}

    # For tests.

    def restart(self, executor: Executor) -> None:
        """As new, for the next test on the same cloud: no jobs, no metadata, and an executor of its own."""
        self.detach()
        self._forget(executor)
        self.attach(self._cloud)

    def jobs(self) -> list[t.PipelineJob]:
        """Copies of all jobs, in the order of their creation."""
        with self._lock:
            return [run.told() for run in self._runs.values()]

    def unfinished(self) -> list[str]:
        """The names of the jobs that haven't ended."""
        with self._lock:
            return [name for name, run in self._runs.items() if not run.ended]

    def wait_for_end(self, job: str, *, seconds: float = 60.0) -> t.PipelineJob:
        """A copy of a job that has ended. Raises TimeoutError."""
        with self._lock:
            run = self._by_end(job)
            if not self._lock.wait_for(lambda: run.ended, seconds):
                raise TimeoutError(f"{job} has not ended after {seconds} seconds")
            return run.told()

    def queue(self) -> None:
        """New jobs stay QUEUED, until ``admit``."""
        with self._lock:
            self._queues = True

    def admit(self) -> None:
        """What is QUEUED begins, and what comes later at once."""
        with self._lock:
            self._queues = False
            for run in self._runs.values():
                if run.job.state == JobState.PIPELINE_STATE_QUEUED:
                    run.begin()

    def cancel(self, job: str) -> None:
        """Somebody else cancels it."""
        with self._lock:
            self._by_end(job).cancel()

    def pause(self, job: str) -> None:
        """It is PAUSED: what runs goes on, nothing starts."""
        with self._lock:
            self._by_end(job).pause()

    def resume(self, job: str) -> None:
        """It is no longer PAUSED."""
        with self._lock:
            self._by_end(job).begin()

    def fail(
        self,
        task: str,
        message: str = "",
        *,
        code: grpc.StatusCode = grpc.StatusCode.FAILED_PRECONDITION,
        times: int | None = 1,
    ) -> None:
        """The next ``times`` executions of ``task`` fail without running (None: all)."""
        self.executor.fail(task, message, code=code, times=times)

    def _by_end(self, name: str) -> Run:
        (run,) = [run for known, run in self._runs.items() if known.endswith(name)]
        return run

    # For clients.

    def _create(self, request: t.CreatePipelineJobRequest, call: Call) -> t.PipelineJob:
        job = t.PipelineJob(request.pipeline_job)
        check_job(job, request.pipeline_job_id, self._cloud.region)
        check_acting_as(self._cloud, call, job.service_account)
        spec = spec_of(job)
        check_spec(spec)
        tasks, parameters = tasks_of(spec), parameters_of(job, spec)
        with self._lock:
            pipeline = spec["pipelineInfo"]["name"]
            job_id = request.pipeline_job_id or f"{pipeline}-{now():%Y%m%d%H%M%S%f}"
            job.name = f"{canonical(self._cloud, request.parent)}/pipelineJobs/{job_id}"
            if job.name in self._runs:
                raise Refusal(grpc.StatusCode.ALREADY_EXISTS, f"Requested entity already exists: {job.name}")
            job.create_time = cast("Any", now())
            run = Run(job, pipeline, tasks, parameters, self._around, queued=self._queues)
            self._runs[job.name] = run
            self.created += 1
            answer = run.told()
            if not self._queues:
                run.begin()
        return answer

    def _get(self, request: t.GetPipelineJobRequest, call: Call) -> t.PipelineJob:
        with self._lock:
            run = self._find(request.name)
            answer = run.told()
            self.executor.polled(run.job.name)
        return answer

    def _list(self, request: t.ListPipelineJobsRequest, call: Call) -> t.ListPipelineJobsResponse:
        parent = canonical(self._cloud, request.parent)
        with self._lock:
            below = [run for name, run in self._runs.items() if name.startswith(f"{parent}/")]
            found = ordered(filtered(below, request.filter, _FIELDS), request.order_by or "create_time desc", _TIMES)
            runs, token = page(found, request.page_size, request.page_token)
            jobs = [t.PipelineJob(run.job) for run in runs]
        for job in jobs:
            job.job_detail = cast("Any", None)
        return t.ListPipelineJobsResponse(pipeline_jobs=jobs, next_page_token=token)

    def _cancel(self, request: t.CancelPipelineJobRequest, call: Call) -> empty_pb2.Empty:
        with self._lock:
            run = self._find(request.name)
            if run.ended:
                raise failed_precondition(f'The PipelineJob "{run.job.name}" is in state {run.job.state.name}.')
            if run.job.state != JobState.PIPELINE_STATE_CANCELLING:
                run.cancel()
        return empty_pb2.Empty()

    def _delete(self, request: t.DeletePipelineJobRequest, call: Call) -> operations_pb2.Operation:
        with self._lock:
            run = self._find(request.name)
            if not run.ended:
                raise failed_precondition(
                    f'The PipelineJob "{run.job.name}" is in state {run.job.state.name}: cancel it first.'
                )
            del self._runs[run.job.name]
        started = t.GenericOperationMetadata(create_time=now(), update_time=now())
        return self._cloud.operations.done(
            run.job.name, empty_pb2.Empty(), t.DeleteOperationMetadata(generic_metadata=started)
        )

    def _find(self, name: str) -> Run:
        run = self._runs.get(canonical(self._cloud, name))
        if run is None:
            raise not_found(f'The PipelineJob "{name}" does not exist.')
        return run
