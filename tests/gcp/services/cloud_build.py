"""Cloud Build: builds of images by its docker builder, from a source archive in the object store.

Unless it is given a builder, nothing is built: the digest that a build tells is this double's own, of the source's
content, and no registry has the image. Names, states and failures are from the documentation of
``google.cloud.devtools.cloudbuild_v1.types.Build``.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from threading import RLock
from typing import TYPE_CHECKING

import grpc
from google.cloud.devtools.cloudbuild_v1 import types
from google.cloud.devtools.cloudbuild_v1.types import Build
from google.longrunning import operations_pb2

from tests.gcp.calls import Call
from tests.gcp.service import Method, Refusal
from tests.gcp.services.cloud_build_docker import DOCKER
from tests.gcp.services.cloud_build_runs import ENDED, Builder, BuildRun, BuildRunner
from tests.gcp.services.resource_listing import Fields, filtered, page
from tests.gcp.services.scripts import Script

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud

_TAG = re.compile(r"\w[\w.-]{0,127}")
_FIELDS: Fields = {
    "tags": lambda build: list(build.tags),
    "status": lambda build: build.status.name,
    "create_time": lambda build: build.create_time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
}


class CloudBuild:
    """``CloudBuild``. ``script`` holds or fails builds: ``"Start <first tag>"``, ``"Run <first tag>"``; a build without
    tags has its id there. ``builder`` really builds."""

    name = "google.devtools.cloudbuild.v1.CloudBuild"

    def __init__(self, builder: Builder | None = None) -> None:
        self.script = Script()
        self._builder = builder
        self._lock = RLock()
        self._runs: dict[str, BuildRun] = {}
        t, prefix = types, "cloudbuild.builds."
        self.methods: Mapping[str, Method] = {
            "CreateBuild": Method(t.CreateBuildRequest, operations_pb2.Operation, prefix + "create", self._create),
            "GetBuild": Method(t.GetBuildRequest, Build, prefix + "get", self._get),
            "ListBuilds": Method(t.ListBuildsRequest, t.ListBuildsResponse, prefix + "list", self._list),
            "CancelBuild": Method(t.CancelBuildRequest, Build, prefix + "update", self._cancel),
        }

    def attach(self, cloud: LoopbackCloud) -> None:
        self._cloud = cloud
        self._runner = BuildRunner(cloud, self.script, self._lock, self._builder)

    def detach(self) -> None:
        self.script.close()

    def _create(self, request: types.CreateBuildRequest, call: Call) -> operations_pb2.Operation:
        self._check_project(request.project_id)
        location = self._location(request.parent)
        build = Build(request.build)
        self._check(build)
        build.id = str(uuid.uuid4())
        build.project_id = self._cloud.project
        build.name = f"projects/{self._cloud.project_number}/locations/{location}/builds/{build.id}"
        build.status = Build.Status.QUEUED
        build.create_time = datetime.now(timezone.utc)
        build.timeout = build.timeout or timedelta(minutes=60)
        build.log_url = (
            f"https://console.cloud.google.com/cloud-build/builds;region={location}/{build.id}"
            f"?project={self._cloud.project_number}"
        )
        run = BuildRun(build)
        with self._lock:
            self._runs[build.id] = run
            operation = self._cloud.operations.start(
                f"projects/{self._cloud.project_number}/locations/{location}",
                Build,
                types.BuildOperationMetadata(build=build),
                lambda: self._runner.run(run, build.tags[0] if build.tags else build.id),
                on_cancel=lambda: self.script.cancel(run.cancelled),
            )
            run.operation = operation.name
        return operation

    def _get(self, request: types.GetBuildRequest, call: Call) -> Build:
        with self._lock:
            return Build(self._find(request.name, request.project_id, request.id).build)

    def _list(self, request: types.ListBuildsRequest, call: Call) -> types.ListBuildsResponse:
        """The newest first."""
        self._check_project(request.project_id)
        below = f"projects/{self._cloud.project_number}/locations/{self._location(request.parent)}/"
        with self._lock:
            builds = [Build(run.build) for run in reversed(self._runs.values()) if run.build.name.startswith(below)]
        shown, token = page(filtered(builds, request.filter, _FIELDS), request.page_size, request.page_token)
        return types.ListBuildsResponse(builds=shown, next_page_token=token)

    def _cancel(self, request: types.CancelBuildRequest, call: Call) -> Build:
        with self._lock:
            run = self._find(request.name, request.project_id, request.id)
            if run.build.status in ENDED:
                raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, "cannot cancel: the build has finished.")
            run.build.status = Build.Status.CANCELLED
            run.build.finish_time = datetime.now(timezone.utc)
            copy = Build(run.build)
        self._cloud.operations.cancel(run.operation)
        return copy

    def _find(self, name: str, project: str, build_id: str) -> BuildRun:
        if not name:
            self._check_project(project)
        run = self._runs.get(name.rpartition("/")[2] or build_id)
        location = self._location(name)
        if run is None or f"/locations/{location}/" not in run.build.name:
            raise Refusal(grpc.StatusCode.NOT_FOUND, "Requested entity was not found.")
        return run

    def _location(self, name: str) -> str:
        found = re.match("projects/[^/]+/locations/([^/]+)", name)
        return found[1] if found else "global"

    def _check_project(self, project: str) -> None:
        if project not in (self._cloud.project, self._cloud.project_number):
            raise Refusal(grpc.StatusCode.PERMISSION_DENIED, "The caller does not have permission")

    def _check(self, build: Build) -> None:
        for tag in build.tags:
            if not _TAG.fullmatch(tag):
                raise _invalid(f"invalid build: invalid tag {tag!r}")
        for number, step in enumerate(build.steps):
            if step.name != DOCKER:
                raise Refusal(grpc.StatusCode.UNIMPLEMENTED, f"This double's steps are of {DOCKER}; {number} is not.")
        if build.timeout and build.timeout > timedelta(hours=24):
            raise _invalid("invalid build: invalid timeout: more than 24 hours")
        source = build.source.storage_source
        if "storage_source" not in build.source:
            raise _invalid("invalid build: this double needs a storage_source")
        blob = self._cloud.storage_client().bucket(source.bucket).get_blob(source.object_)
        if blob is None:
            raise _invalid(
                "could not resolve source: googleapi: Error 404: No such object: "
                f"{source.bucket}/{source.object_}, notFound"
            )
        build.source_provenance.resolved_storage_source = types.StorageSource(
            bucket=source.bucket, object_=source.object_, generation=blob.generation
        )


def _invalid(message: str) -> Refusal:
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, message)
