"""Builds and what they go through: QUEUED, WORKING, and one of SUCCESS, FAILURE, CANCELLED, TIMEOUT."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from threading import Event, RLock
from typing import TYPE_CHECKING

import grpc
from google.cloud.devtools.cloudbuild_v1.types import Build, BuiltImage

from tests.gcp.service import Refusal
from tests.gcp.services.cloud_build_docker import DOCKER, DockerBuild, Source, SourceError, StepError, parse
from tests.gcp.services.scripts import Script

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud

#: Builds an image from a folder and gives its digest. Raises ``StepError``.
Builder = Callable[[Path, DockerBuild], str]

ENDED = frozenset(
    {
        Build.Status.SUCCESS,
        Build.Status.FAILURE,
        Build.Status.INTERNAL_ERROR,
        Build.Status.TIMEOUT,
        Build.Status.CANCELLED,
        Build.Status.EXPIRED,
    }
)
_STATUS = {
    grpc.StatusCode.CANCELLED: Build.Status.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED: Build.Status.TIMEOUT,
    grpc.StatusCode.INTERNAL: Build.Status.INTERNAL_ERROR,
}


class BuildFailedError(Exception):
    """The build ends with FAILURE for this reason."""

    def __init__(self, reason: Build.FailureInfo.FailureType, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass
class BuildRun:
    """A build, and the name of the operation that stands for it."""

    build: Build
    cancelled: Event = field(default_factory=Event)
    operation: str = ""


class BuildRunner:
    """Runs builds. ``script`` may hold or fail each at ``"Start <name>"`` (QUEUED) and ``"Run <name>"`` (WORKING)."""

    def __init__(self, cloud: LoopbackCloud, script: Script, lock: RLock, builder: Builder | None) -> None:
        self._cloud, self._script, self._lock, self._builder = cloud, script, lock, builder

    def run(self, run: BuildRun, name: str) -> Build:
        """To its end; a copy of the build. Raises Refusal where it did not succeed."""
        build = run.build
        try:
            self._script.begin(f"Start {name}", run.cancelled)
            self._set(build, Build.Status.WORKING, "start_time")
            self._script.begin(f"Run {name}", run.cancelled)
            images = self._images(build)
            with self._lock:
                if run.cancelled.is_set():
                    raise Refusal(grpc.StatusCode.CANCELLED, "Build was cancelled.")
                build.results.images = images
                self._set(build, Build.Status.SUCCESS, "finish_time")
                return Build(build)
        except BuildFailedError as error:
            build.failure_info = Build.FailureInfo(type_=error.reason, detail=error.detail)
            build.status_detail = error.detail
            self._set(build, Build.Status.FAILURE, "finish_time")
            raise Refusal(grpc.StatusCode.UNKNOWN, error.detail) from error
        except Refusal as refusal:
            build.status_detail = refusal.message
            self._set(build, _STATUS.get(refusal.code, Build.Status.FAILURE), "finish_time")
            raise

    def _set(self, build: Build, status: Build.Status, time: str) -> None:
        with self._lock:
            build.status = status
            setattr(build, time, datetime.now(timezone.utc))

    def _images(self, build: Build) -> list[BuiltImage]:
        digests: dict[str, str] = {}
        source = build.source.storage_source
        with tempfile.TemporaryFile(dir=self._cloud.folder) as file:
            blob = self._cloud.storage_client().bucket(source.bucket).blob(source.object_)
            blob.download_to_file(file)
            for number, step in enumerate(build.steps):
                try:
                    asked = parse(list(step.args))
                    digest = self._step(Source(file), asked)
                except SourceError as error:
                    reason = Build.FailureInfo.FailureType.FETCH_SOURCE_FAILED
                    raise BuildFailedError(reason, f"failed to fetch source: {error}") from error
                except StepError as error:
                    raise BuildFailedError(
                        Build.FailureInfo.FailureType.USER_BUILD_STEP,
                        f'Build step failure: build step {number} "{DOCKER}" failed: step exited with non-zero '
                        f"status: 1: {error}",
                    ) from error
                digests.update(dict.fromkeys(asked.tags, digest))
        for image in build.images:
            if image not in digests:
                raise BuildFailedError(
                    Build.FailureInfo.FailureType.PUSH_IMAGE_NOT_FOUND,
                    f'failed to find one or more images after execution of build steps: ["{image}"]',
                )
        return [BuiltImage(name=image, digest=digests[image]) for image in build.images]

    def _step(self, source: Source, asked: DockerBuild) -> str:
        source.check_has(asked.dockerfile)
        if self._builder is None:
            return source.digest()
        with tempfile.TemporaryDirectory(dir=self._cloud.folder, prefix="build-") as folder:
            source.unpack(Path(folder))
            return self._builder(Path(folder), asked)


def timed_out() -> Refusal:
    """The build took longer than its timeout."""
    return Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "Build timed out.")
