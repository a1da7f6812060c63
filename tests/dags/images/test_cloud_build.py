"""What Cloud Build is asked, and how its answers are read; with Google's own types, without the service."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from google.cloud.devtools.cloudbuild_v1.types import Build
from respan.images.cloud_build import build_message, build_tag, built_image, failure_of, pack, usable
from respan.images.errors import ImageError

from tests.dags.images.builds import FIRST, SECOND, a_request

REPOSITORY = "europe-docker.pkg.dev/project/respan/respan"
DIGEST = "sha256:" + "0" * 64


def test_one_step_builds_from_the_uploaded_source_under_two_tags(tmp_path: Path) -> None:
    request = a_request(REPOSITORY, tmp_path, dockerfile="images/Dockerfile", timeout_seconds=90)
    message = Build.to_dict(build_message(request, "project_cloudbuild"))
    tags = [f"{REPOSITORY}:{FIRST}", f"{REPOSITORY}:content-{request.content}"]
    assert message["images"] == tags
    assert message["timeout"] == "90s"
    assert message["source"]["storage_source"]["bucket"] == "project_cloudbuild"
    assert message["source"]["storage_source"]["object_"] == f"source/respan-{request.content}.tgz"
    (step,) = message["steps"]
    assert step["name"] == "gcr.io/cloud-builders/docker"
    assert step["args"][:7] == ["build", "--file", "images/Dockerfile", "--tag", tags[0], "--tag", tags[1]]
    assert f"org.opencontainers.image.revision={FIRST}" in step["args"]
    assert step["args"][-1] == "."
    assert message["tags"] == [build_tag(request)]


def test_a_builds_tag_follows_from_content_and_name_and_not_from_the_revision(tmp_path: Path) -> None:
    tag = build_tag(a_request(REPOSITORY, tmp_path))
    assert tag == build_tag(a_request(REPOSITORY, tmp_path, revision=SECOND))
    assert tag != build_tag(a_request(REPOSITORY + "2", tmp_path))
    assert tag != build_tag(a_request(REPOSITORY, tmp_path, content="other"))


def test_a_failed_build_is_not_taken_again_a_running_one_is(tmp_path: Path) -> None:
    failed, running, done = (
        Build(id=str(s), status=s) for s in (Build.Status.FAILURE, Build.Status.WORKING, Build.Status.SUCCESS)
    )
    assert usable([]) is None
    assert usable([failed]) is None
    assert usable([failed, running, done]) == running
    assert usable([done]) == done


def test_the_digest_is_read_from_the_result(tmp_path: Path) -> None:
    request = a_request(REPOSITORY, tmp_path)
    images = [{"name": name, "digest": DIGEST} for name in (request.content_tag, request.revision_tag)]
    assert built_image(Build(results={"images": images}), request, reused=True) == {
        "image": f"{REPOSITORY}@{DIGEST}",
        "tag": request.revision_tag,
        "reused": True,
    }
    with pytest.raises(ImageError, match="tells no digest"):
        built_image(Build(id="b"), request, reused=False)


def test_a_failure_tells_why_and_where_in_one_line() -> None:
    build = Build(id="b", failure_info={"detail": "step 0\nfailed"}, log_url="https://console/b")
    assert str(failure_of(build)) == "Cloud Build b failed: step 0 failed; see https://console/b"


def test_the_source_is_the_folder_without_gits_own_files(context: Path) -> None:
    (context / ".git").mkdir()
    (context / ".git" / "config").write_text("")
    (context / "link").symlink_to("/etc/passwd")
    packed = io.BytesIO()
    pack(context, packed)
    packed.seek(0)
    with tarfile.open(fileobj=packed) as archive:
        names = {name.removeprefix("./") for name in archive.getnames()}
        assert names == {".", "Dockerfile", "code.py", "link"}
        assert archive.getmember("./link").issym()
