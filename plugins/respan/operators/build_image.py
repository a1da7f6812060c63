"""The task that builds the container image of a revision."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, TaskDeferred

from ml.settings import Settings, load_settings
from respan.failures import told_to_airflow
from respan.images import cloud_build
from respan.images.building import build_image
from respan.images.credentials import login_from_connection
from respan.images.engines import ENGINES
from respan.images.process import EngineProcess, engine_environment
from respan.images.request import NO_IMAGE, BuiltImage, ImageRequest, content_key
from respan.supervision import end_with_supervisor

_CLOUD_BUILD = "cloud_build"


class BuildImageOperator(BaseOperator):
    """Builds ``<repository>:<revision>`` as ``ci_cd.image`` says, pushes it, and returns a
    :class:`~respan.images.request.BuiltImage` with its digest.

    An image with the same content is not built again, so a retry finds what an earlier try has built. The engine's
    output is the task's log. A failing build, a refused login or a missing engine is not retried; a registry or daemon
    that can't be reached is. Killing the task, or the supervisor that Airflow runs it under, kills the engine and all
    that it started. Cloud Build is awaited without a worker, and ends the build itself when its time is up; a retry
    waits for the build that was submitted, and killing or clearing the task cancels it.

    :param pipeline: the pipeline whose settings say how.
    :param revision: the full commit id (templated).
    """

    template_fields: Sequence[str] = ("revision",)
    ui_color = "#e8f6ee"

    def __init__(self, *, pipeline: str, revision: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.revision = revision
        self._process: EngineProcess | None = None
        self._under_way: tuple[cloud_build.CloudBuild, ImageRequest] | None = None

    def execute(self, context: Context) -> BuiltImage:
        end_with_supervisor()
        with told_to_airflow():
            settings = load_settings(self.pipeline)
            if settings.ci_cd.image.builder == "none":
                self.log.info("no image is built: ci_cd.image.builder is none")
                return NO_IMAGE
            with self._request(settings, context) as request:
                if settings.ci_cd.image.builder == _CLOUD_BUILD:
                    return self._build_in_cloud(settings, request)
                return self._build_here(settings, request)

    def on_kill(self) -> None:
        if self._process is not None:
            self._process.kill()
        if self._under_way is not None:
            service, request = self._under_way
            service.cancel_all(request)

    def cloud_build_ended(self, context: Context, event: dict[str, Any]) -> BuiltImage:
        """Resumes when the build ``event["build"]`` has ended, or can't be followed."""
        with told_to_airflow():
            settings = load_settings(self.pipeline)
            with self._request(settings, context) as request:
                ended = cloud_build.CloudBuild(settings.ci_cd.image.connection).get(event["build"])
            if cloud_build.is_running(ended):
                raise AirflowException(f"Cloud Build {ended.id} can't be followed: the triggerer's log says why")
            if cloud_build.usable([ended]) is None:
                raise cloud_build.failure_of(ended)
            return cloud_build.built_image(ended, request, reused=False)

    def _build_here(self, settings: Settings, request: ImageRequest) -> BuiltImage:
        image = settings.ci_cd.image
        login = login_from_connection(image.connection, request.repository) if request.push else None
        self._process = EngineProcess(
            engine_environment(os.environ), image.timeout_seconds, lambda line: self.log.info("%s", line)
        )
        engine = ENGINES[image.builder](self._process, login, image.connection)
        return build_image(engine, self._process, request)

    def _build_in_cloud(self, settings: Settings, request: ImageRequest) -> BuiltImage:
        request.check()
        service = cloud_build.CloudBuild(settings.ci_cd.image.connection)
        found = cloud_build.usable(service.builds(request))
        if found is not None and found.results.images:
            return cloud_build.built_image(found, request, reused=True)
        self._under_way = service, request
        build = found.id if found is not None else service.start(request)
        self.log.info("waiting for Cloud Build %s", build)
        raise TaskDeferred(trigger=service.trigger(build), method_name="cloud_build_ended")

    @contextlib.contextmanager
    def _request(self, settings: Settings, context: Context) -> Iterator[ImageRequest]:
        """What to build, from a checkout for the image alone."""
        from respan.git import own_checkout

        image = settings.ci_cd.image
        with own_checkout(settings, f"{context['run_id']}.image", self.revision) as checkout:
            yield ImageRequest(
                repository=image.repository or "",
                revision=self.revision,
                content=content_key(checkout.content([""]), image.dockerfile, image.builder),
                context=checkout.path,
                dockerfile=image.dockerfile,
                source=settings.ci_cd.remote or "",
                push=image.push or image.builder == _CLOUD_BUILD,
                timeout_seconds=image.timeout_seconds,
            )
