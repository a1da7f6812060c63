"""Images built by Google Cloud Build, through the Google provider's hooks.

The provider is imported inside the functions: that takes seconds, and is for a task that really builds there only.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
import tempfile
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ml.errors import SettingsError
from respan.images.errors import ImageError, ImageServiceError
from respan.images.request import BuiltImage, ImageRequest
from respan.vertex.clearing_up import CANCEL_SECONDS, clear_up
from respan.vertex.failures import google_errors
from respan.vertex.operations import CALL_SECONDS
from respan.vertex.place import DEFAULT_CONNECTION

if TYPE_CHECKING:
    from google.cloud.devtools.cloudbuild_v1.types import Build

    from respan.triggers.cloud_build import CloudBuildTrigger

_DOCKER = "gcr.io/cloud-builders/docker"


def build_tag(request: ImageRequest) -> str:
    """The tag of the build, by which a retry, and a later revision with the same content, finds it."""
    return f"respan-{hashlib.sha256(request.content_tag.encode()).hexdigest()[:40]}"


def source_bucket(project: str) -> str:
    """Where ``gcloud builds submit`` puts sources, too; it makes the bucket when it is first used."""
    return f"{project}_cloudbuild"


def source_object(request: ImageRequest) -> str:
    return f"source/respan-{request.content}.tgz"


def build_message(request: ImageRequest, bucket: str) -> Build:
    """What Cloud Build is asked to do: one step that builds from the uploaded source, and two tags to push."""
    from google.cloud.devtools.cloudbuild_v1.types import Build

    tags = [request.revision_tag, request.content_tag]
    named = [word for tag in tags for word in ("--tag", tag)]
    labels = [word for name, value in request.labels.items() for word in ("--label", f"{name}={value}")]
    return Build(
        source={"storage_source": {"bucket": bucket, "object_": source_object(request)}},
        steps=[{"name": _DOCKER, "args": ["build", "--file", request.dockerfile, *named, *labels, "."]}],
        images=tags,
        tags=[build_tag(request)],
        timeout=timedelta(seconds=request.timeout_seconds),
    )


def pack(folder: Path, target: io.BufferedIOBase) -> None:
    """Writes ``folder`` without git's own files as a ``.tar.gz``. Symbolic links stay links."""

    def without_git(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if Path(member.name).parts[:1] == (".git",) else member

    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        archive.add(folder, arcname=".", filter=without_git)


def usable(builds: Iterable[Build]) -> Build | None:
    """The newest build that succeeded or may still: Cloud Build lists the newest first."""
    from google.cloud.devtools.cloudbuild_v1.types import Build

    hopeful = (Build.Status.SUCCESS, Build.Status.PENDING, Build.Status.QUEUED, Build.Status.WORKING)
    return next((build for build in builds if build.status in hopeful), None)


def built_image(build: Build, request: ImageRequest, *, reused: bool) -> BuiltImage:
    """What a build that has succeeded made. Raises ``ImageError`` where it tells no digest."""
    for image in build.results.images:
        repository, _, tag = image.name.rpartition(":")
        if repository == request.repository and not tag.startswith("content-"):
            return BuiltImage(image=f"{repository}@{image.digest}", tag=image.name, reused=reused)
    raise ImageError(
        f"Cloud Build {build.id} succeeded but tells no digest of {request.repository}: see {build.log_url}"
    )


def is_running(build: Build) -> bool:
    from google.cloud.devtools.cloudbuild_v1.types import Build

    return build.status in (Build.Status.PENDING, Build.Status.QUEUED, Build.Status.WORKING)


def failure_of(build: Build) -> ImageError | ImageServiceError:
    """Why a build has failed; ``ImageServiceError`` where that says nothing about the image."""
    from google.cloud.devtools.cloudbuild_v1.types import Build

    why = " ".join((build.failure_info.detail or build.status_detail or build.status.name).split())
    if build.status in (Build.Status.CANCELLED, Build.Status.EXPIRED, Build.Status.INTERNAL_ERROR):
        return ImageServiceError(f"Cloud Build {build.id} didn't end: {why}; a retry builds anew; see {build.log_url}")
    return ImageError(f"Cloud Build {build.id} failed: {why}; see {build.log_url}")


class CloudBuild:
    """The service, by an Airflow connection to Google Cloud."""

    def __init__(self, connection: str | None) -> None:
        from airflow.providers.google.cloud.hooks.cloud_build import CloudBuildHook

        self.connection = connection or DEFAULT_CONNECTION
        self._hook = CloudBuildHook(gcp_conn_id=self.connection)

    @property
    def project(self) -> str:
        """Raises ``SettingsError`` where neither the connection nor the credentials name one."""
        project = self._hook.project_id
        if not project:
            raise SettingsError(f"Airflow connection {self.connection!r} names no Google Cloud project: add one to it")
        return project

    def builds(self, request: ImageRequest, seconds: float | None = None) -> list[Build]:
        """All builds of this content, the newest first, listed in at most ``seconds``."""
        with google_errors("list the builds of Cloud Build"):
            found: list[Build] = self._hook.list_builds(
                project_id=self.project, filter_=f'tags="{build_tag(request)}"', timeout=seconds or CALL_SECONDS
            )
        return found

    def start(self, request: ImageRequest) -> str:
        """Uploads the source, unless it is there, and submits a build; its id.

        Where the answer is lost, :meth:`builds` finds the build.
        """
        bucket = source_bucket(self.project)
        self._upload(request, bucket)
        with google_errors("submit a build to Cloud Build"):
            _, build = self._hook.create_build_without_waiting_for_result(
                build=build_message(request, bucket), project_id=self.project, timeout=CALL_SECONDS
            )
        return str(build)

    def get(self, build: str) -> Build:
        with google_errors(f"look at Cloud Build {build}"):
            found: Build = self._hook.get_build(id_=build, project_id=self.project, timeout=CALL_SECONDS)
        return found

    def cancel_all(self, request: ImageRequest) -> None:
        """Ends each build of this content that runs, also one whose id nobody got to know.

        Through errors that pass; what can't be ended is told in the log, with how to end it.
        """
        tag = build_tag(request)
        clear_up(
            lambda: self._cancel_all(request),
            f"a build with the tag {tag} runs on until its time is up, and the next try waits for it: end it with "
            f"gcloud builds cancel, its id is in gcloud builds list --ongoing --filter=tags={tag} "
            f"--project={self.project}",
        )

    def _cancel_all(self, request: ImageRequest) -> None:
        from google.api_core.exceptions import FailedPrecondition

        for build in filter(is_running, self.builds(request, CANCEL_SECONDS)):
            # FailedPrecondition: it has ended meanwhile.
            with google_errors(f"cancel Cloud Build {build.id}"), contextlib.suppress(FailedPrecondition):
                self._hook.cancel_build(id_=build.id, project_id=self.project, timeout=CANCEL_SECONDS)

    def trigger(self, build: str) -> CloudBuildTrigger:
        """Fires when the build has ended."""
        from respan.triggers.cloud_build import CloudBuildTrigger

        return CloudBuildTrigger(connection=self.connection, project=self.project, build=build)

    def _upload(self, request: ImageRequest, bucket: str) -> None:
        from airflow.providers.google.cloud.hooks.gcs import GCSHook
        from google.api_core.exceptions import NotFound

        storage, name = GCSHook(gcp_conn_id=self.connection), source_object(request)
        with google_errors(f"upload the source to gs://{bucket}"):
            if storage.exists(bucket, name):
                return
            with tempfile.NamedTemporaryFile(prefix="respan-source-", suffix=".tgz") as file:
                pack(request.context, file)  # type: ignore[arg-type]
                file.flush()
                try:
                    storage.upload(bucket, name, filename=file.name)
                except NotFound:
                    raise SettingsError(
                        f"there is no bucket gs://{bucket} for the sources of Cloud Build: make it with "
                        f"gcloud storage buckets create gs://{bucket}"
                    ) from None
