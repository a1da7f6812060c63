"""Custom jobs, in the small: the first worker pool's container command runs as a process."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

import grpc
from google.cloud.aiplatform_v1 import types
from google.cloud.aiplatform_v1.types import JobState
from google.protobuf import empty_pb2

from tests.gcp.calls import Call
from tests.gcp.service import Method, Refusal
from tests.gcp.services.batch_prediction_jobs import Jobs, Run
from tests.gcp.services.batch_prediction_rules import check_labels
from tests.gcp.services.scripts import Script
from tests.gcp.services.vertex_resources import check_acting_as, invalid

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud


class CustomJobs:
    """The methods for custom jobs. The container's image is not looked at: its command runs on this machine."""

    def __init__(self, script: Script) -> None:
        self._jobs = Jobs("customJobs", script)
        t, prefix = types, "aiplatform.customJobs."
        self.methods: Mapping[str, Method] = {
            "CreateCustomJob": Method(t.CreateCustomJobRequest, t.CustomJob, prefix + "create", self._create),
            "GetCustomJob": Method(t.GetCustomJobRequest, t.CustomJob, prefix + "get", self._get),
            "CancelCustomJob": Method(t.CancelCustomJobRequest, empty_pb2.Empty, prefix + "cancel", self._cancel),
        }

    def attach(self, cloud: LoopbackCloud) -> None:
        self._cloud = cloud
        self._jobs.attach(cloud)

    def detach(self) -> None:
        self._jobs.detach()

    def _create(self, request: types.CreateCustomJobRequest, call: Call) -> types.CustomJob:
        job = request.custom_job
        check_acting_as(self._cloud, call, job.job_spec.service_account)
        check_labels(dict(job.labels))
        first = job.job_spec.worker_pool_specs[0]
        if "container_spec" not in first or not first.container_spec.image_uri:
            raise invalid("worker_pool_specs[0].container_spec.image_uri is required.")
        if not first.machine_spec.machine_type or first.replica_count < 1:
            raise invalid("worker_pool_specs[0] needs a machine_type, and a replica_count of 1 or more.")
        if not first.container_spec.command:
            raise Refusal(grpc.StatusCode.UNIMPLEMENTED, "This double runs containers with a command only.")
        return self._jobs.add(request.parent, job, self._work)

    def _get(self, request: types.GetCustomJobRequest, call: Call) -> types.CustomJob:
        return self._jobs.get(request.name)

    def _cancel(self, request: types.CancelCustomJobRequest, call: Call) -> empty_pb2.Empty:
        self._jobs.cancel(request.name)
        return empty_pb2.Empty()

    def _work(self, run: Run) -> JobState:
        container = run.job.job_spec.worker_pool_specs[0].container_spec
        environment = {
            "PATH": os.environ["PATH"],
            **self._cloud.workload_environment,
            **{variable.name: variable.value for variable in container.env},
        }
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                [*container.command, *container.args],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self._cloud.folder,
            )
            self._jobs.on_cancel(run, process.kill)
            code = process.wait()
            log.seek(0)
            said = log.read()[-500:].decode(errors="replace")
        if code:
            raise Refusal(
                grpc.StatusCode.INTERNAL,
                f"The replica workerpool0-0 exited with a non-zero status of {code}. Termination reason: Error. {said}",
            )
        return JobState.JOB_STATE_SUCCEEDED
