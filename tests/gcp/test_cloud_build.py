"""The double of Cloud Build, with the client that Respan has."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core.exceptions import (
    FailedPrecondition,
    GoogleAPICallError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from google.cloud.devtools.cloudbuild_v1 import CloudBuildClient
from google.cloud.devtools.cloudbuild_v1.types import Build

from tests.gcp.cloud import LoopbackCloud
from tests.gcp.services.cloud_build import CloudBuild
from tests.gcp.services.cloud_build_docker import DOCKER, DockerBuild
from tests.gcp.services.cloud_build_runs import timed_out
from tests.gcp.vertex_clients import client

IMAGE = "europe-docker.pkg.dev/project/respan/respan:first"


@dataclass(frozen=True)
class Place:
    cloud: LoopbackCloud
    service: CloudBuild

    @property
    def client(self) -> CloudBuildClient:
        return client(self.cloud, CloudBuildClient, "cloudbuild.googleapis.com")

    def put(self, name: str = "source.tgz", **files: str) -> str:
        """A source archive in the bucket with ``files``, a Dockerfile among them; its name."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for path, text in {"Dockerfile": "FROM scratch\n", **files}.items():
                member = tarfile.TarInfo(path)
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
        self.cloud.storage_client().bucket(self.cloud.bucket).blob(name).upload_from_string(packed.getvalue())
        return name

    def start(self, build: Build, **request: Any) -> Any:
        return self.client.create_build(request={"project_id": self.cloud.project, "build": build, **request})

    def ended(self, build_id: str) -> Build:
        return self.client.get_build(project_id=self.cloud.project, id=build_id)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    service = CloudBuild()
    with LoopbackCloud(tmp_path / "cloud", services=[service]) as cloud:
        yield Place(cloud, service)


def a_build(source: str = "source.tgz", *args: str, **fields: Any) -> Build:
    words = args or ("build", "--file", "Dockerfile", "--tag", IMAGE, "--label", "a=b", ".")
    return Build(
        {
            "source": {"storage_source": {"bucket": "respan-test", "object_": source}},
            "steps": [{"name": DOCKER, "args": words}],
            "images": [IMAGE],
            "tags": ["respan-1"],
            **fields,
        }
    )


def test_a_build_ends_with_the_digest_of_its_content(place: Place) -> None:
    place.put("one.tgz", code="1")
    place.put("same.tgz", code="1")
    place.put("other.tgz", code="2")
    builds = [place.start(a_build(name)).result(timeout=60) for name in ("one.tgz", "same.tgz", "other.tgz")]
    digests = [build.results.images[0].digest for build in builds]
    assert re.fullmatch("sha256:[0-9a-f]{64}", digests[0])
    assert digests[0] == digests[1] != digests[2]
    build = builds[0]
    assert build.results.images[0].name == IMAGE
    assert build.status == Build.Status.SUCCESS
    assert build.create_time <= build.start_time <= build.finish_time
    assert build.source_provenance.resolved_storage_source.generation
    assert build.id in build.log_url
    assert build.name == f"projects/{place.cloud.project_number}/locations/global/builds/{build.id}"


def test_the_operations_metadata_names_the_build_at_once(place: Place) -> None:
    place.put()
    place.service.script.hold("Start respan-1")
    operation = place.start(a_build())
    build_id = operation.metadata.build.id
    assert place.ended(build_id).status == Build.Status.QUEUED
    place.service.script.hold("Run respan-1")
    place.service.script.release("Start respan-1")
    place.service.script.wait_until_held("Run respan-1")
    assert place.ended(build_id).status == Build.Status.WORKING
    place.service.script.release()
    assert operation.result(timeout=60).id == build_id


def test_builds_are_found_by_tag_and_status_the_newest_first(place: Place) -> None:
    place.put()
    ids = [place.start(a_build(tags=["respan-1", tag])).result(timeout=60).id for tag in ("a", "b")]
    place.service.script.fail("Run *", timed_out())
    with pytest.raises(GoogleAPICallError):
        place.start(a_build(tags=["respan-2"])).result(timeout=60)

    def listed(expression: str) -> list[str]:
        request = {"project_id": place.cloud.project, "filter": expression, "page_size": 1}
        return [build.id for build in place.client.list_builds(request=request)]

    assert listed('tags="respan-1"') == ids[::-1]
    assert listed('tags="a" AND status="SUCCESS"') == ids[:1]
    assert listed('status="SUCCESS"') == ids[::-1]
    assert len(listed('status="TIMEOUT"')) == 1


@pytest.mark.parametrize(
    ("build", "reason", "detail"),
    [
        (
            a_build("source.tgz", "build", "--file", "none", "--tag", IMAGE, "."),
            "USER_BUILD_STEP",
            "no Dockerfile none",
        ),
        (a_build("source.tgz", "build", "--colour", "."), "USER_BUILD_STEP", "unknown flag: --colour"),
        (a_build("source.tgz", "build", "--tag", IMAGE), "USER_BUILD_STEP", "exactly 1 argument"),
        (a_build("source.tgz", "build", "."), "PUSH_IMAGE_NOT_FOUND", IMAGE),
        (a_build("torn.tgz"), "FETCH_SOURCE_FAILED", "can't be read"),
        (a_build("escaping.tgz"), "FETCH_SOURCE_FAILED", "outside"),
    ],
)
def test_a_build_fails_as_its_step_does(place: Place, build: Build, reason: str, detail: str) -> None:
    place.put()
    place.put("escaping.tgz", **{"../outside": "x"})
    place.cloud.storage_client().bucket(place.cloud.bucket).blob("torn.tgz").upload_from_string(b"\x1f\x8b no archive")
    operation = place.start(build)
    with pytest.raises(GoogleAPICallError, match=re.escape(detail)):
        operation.result(timeout=60)
    failed = place.ended(operation.metadata.build.id)
    assert failed.status == Build.Status.FAILURE
    assert failed.failure_info.type_.name == reason
    assert detail in failed.failure_info.detail


def test_a_source_that_is_not_there_is_refused_at_once(place: Place) -> None:
    with pytest.raises(InvalidArgument, match="could not resolve source"):
        place.start(a_build("none.tgz"))
    with pytest.raises(InvalidArgument, match="steps"):
        place.start(Build(source=a_build().source))
    place.put()
    with pytest.raises(InvalidArgument, match="tag"):
        place.start(a_build(tags=["no tag"]))
    with pytest.raises(InvalidArgument, match="timeout"):
        place.start(a_build(timeout=timedelta(hours=25)))


def test_a_cancelled_build_stays_cancelled(place: Place) -> None:
    place.put()
    place.service.script.hold("Run *")
    operation = place.start(a_build())
    build_id = operation.metadata.build.id
    place.service.script.wait_until_held("Run respan-1")
    cancelled = place.client.cancel_build(project_id=place.cloud.project, id=build_id)
    assert cancelled.status == Build.Status.CANCELLED
    with pytest.raises(GoogleAPICallError):
        operation.result(timeout=60)
    with pytest.raises(FailedPrecondition):
        place.client.cancel_build(project_id=place.cloud.project, id=build_id)
    assert place.ended(build_id).status == Build.Status.CANCELLED


def test_a_regional_build_is_in_its_region_only(place: Place) -> None:
    place.put()
    parent = f"projects/{place.cloud.project}/locations/{place.cloud.region}"
    build = place.start(a_build(), parent=parent).result(timeout=60)
    found = place.client.get_build(
        request={"name": f"{parent}/builds/{build.id}", "project_id": place.cloud.project, "id": build.id}
    )
    assert found.id == build.id
    with pytest.raises(NotFound):
        place.ended(build.id)
    assert list(place.client.list_builds(project_id=place.cloud.project)) == []
    listed = place.client.list_builds(request={"parent": parent, "project_id": place.cloud.project})
    assert [one.id for one in listed] == [build.id]


def test_a_builder_gets_the_source_and_gives_the_digest(tmp_path: Path) -> None:
    seen = []

    def builder(folder: Path, asked: DockerBuild) -> str:
        seen.append(((folder / "code").read_text(), replace(asked, context=asked.context)))
        return "sha256:" + "1" * 64

    with LoopbackCloud(tmp_path / "cloud", services=[CloudBuild(builder)]) as cloud:
        place = Place(cloud, CloudBuild())
        place.put(code="print(1)")
        assert place.start(a_build()).result(timeout=60).results.images[0].digest == "sha256:" + "1" * 64
    ((code, asked),) = seen
    assert code == "print(1)"
    assert (asked.dockerfile, asked.tags, asked.labels) == ("Dockerfile", (IMAGE,), {"a": "b"})


@pytest.mark.parametrize("permission", ["create", "get", "list", "update"])
def test_each_call_needs_its_permission(place: Place, permission: str) -> None:
    place.put()
    build_id = place.start(a_build()).metadata.build.id
    place.cloud.permissions.deny(place.cloud.airflow_principal, f"cloudbuild.builds.{permission}")
    acts = {
        "create": lambda: place.start(a_build()),
        "get": lambda: place.ended(build_id),
        "list": lambda: place.client.list_builds(project_id=place.cloud.project),
        "update": lambda: place.client.cancel_build(project_id=place.cloud.project, id=build_id),
    }
    with pytest.raises(PermissionDenied):
        acts[permission]()
    assert grpc.StatusCode.PERMISSION_DENIED.name in [call.outcome for call in place.cloud.calls]
