"""Cloud Storage on loopback, asked by google-cloud-storage."""

from __future__ import annotations

import io
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import storage
from google.oauth2 import service_account

from tests.gcp.cloud import LoopbackCloud
from tests.gcp.faults import Fault


@pytest.fixture
def bucket(core_cloud: LoopbackCloud) -> storage.Bucket:
    credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
        core_cloud.airflow_key, scopes=["https://www.googleapis.com/auth/cloud-platform"]
    )
    return storage.Client(core_cloud.project, credentials).bucket(core_cloud.bucket)


def put(bucket: storage.Bucket, name: str, data: bytes = b"data", **given: Any) -> storage.Blob:
    blob = bucket.blob(name)
    blob.upload_from_string(data, retry=None, **given)
    return blob


def test_an_object_is_written_only_over_the_generation_that_was_named(bucket: storage.Bucket) -> None:
    first = put(bucket, "a", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        put(bucket, "a", b"other", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        put(bucket, "a", b"other", if_generation_match=first.generation + 1)
    put(bucket, "a", b"other", if_generation_match=first.generation)
    assert bucket.blob("a").download_as_bytes() == b"other"


def test_a_resumable_upload_heeds_its_precondition(bucket: storage.Bucket) -> None:
    data = bytes(range(256)) * 4096
    blob = bucket.blob("big", chunk_size=262144)
    blob.upload_from_file(io.BytesIO(data), if_generation_match=0, checksum="crc32c")
    assert bucket.blob("big").download_as_bytes() == data
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("big", chunk_size=262144).upload_from_file(io.BytesIO(data), if_generation_match=0)


def test_reads_deletions_and_copies_heed_generations(bucket: storage.Bucket) -> None:
    blob = put(bucket, "a")
    wrong = blob.generation + 1
    with pytest.raises(exceptions.NotFound):
        bucket.blob("a", generation=wrong).download_as_bytes()
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").download_as_bytes(if_generation_match=wrong)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").delete(if_generation_match=wrong)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("b").rewrite(bucket.blob("a"), if_source_generation_match=wrong)
    put(bucket, "b")
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.copy_blob(blob, bucket, "b", if_generation_match=0)
    bucket.blob("a").delete(if_generation_match=blob.generation)
    assert not bucket.blob("a").exists()


def test_metadata_has_generations_of_its_own(bucket: storage.Bucket) -> None:
    blob = put(bucket, "a")
    blob.metadata = {"k": "v"}
    blob.patch(if_metageneration_match=1)
    assert blob.metageneration == 2
    with pytest.raises(exceptions.PreconditionFailed):
        blob.patch(if_metageneration_match=1)


def test_wrong_checksums_are_refused(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    blob.md5_hash = "AAAAAAAAAAAAAAAAAAAAAA=="
    with pytest.raises(exceptions.BadRequest, match="doesn't match"):
        blob.upload_from_string(b"data")
    assert not bucket.blob("a").exists()


def test_listings_come_in_pages_and_in_part(bucket: storage.Bucket) -> None:
    for name in ("p/1/x", "p/2/x", "p/3", "p/4", "q"):
        put(bucket, name)
    iterator = bucket.list_blobs(prefix="p/", delimiter="/", page_size=2, fields="items(name),prefixes,nextPageToken")
    pages = [([blob.name for blob in page], sorted(page.prefixes)) for page in iterator.pages]
    assert pages == [([], ["p/1/", "p/2/"]), (["p/3", "p/4"], [])]
    assert [blob.name for blob in bucket.list_blobs(start_offset="p/3", end_offset="q")] == ["p/3", "p/4"]
    assert next(iter(bucket.list_blobs(prefix="q", fields="items(name)"))).size is None


def delete_at_once(bucket: storage.Bucket, *names: str) -> None:
    with bucket.client.batch():
        for name in names:
            bucket.blob(name).delete()


def test_a_batch_is_its_calls(bucket: storage.Bucket, core_cloud: LoopbackCloud) -> None:
    for name in ("a", "b"):
        put(bucket, name)
    core_cloud.faults.add("storage.objects.delete", Fault.UNAVAILABLE, after=1)
    with pytest.raises(exceptions.ServiceUnavailable):
        delete_at_once(bucket, "a", "b")
    assert [call.outcome for call in core_cloud.calls.of("storage.objects.delete")] == ["OK", "503"]
    assert [blob.name for blob in bucket.list_blobs()] == ["b"]


def test_a_fault_hits_exactly_the_calls_named(bucket: storage.Bucket, core_cloud: LoopbackCloud) -> None:
    core_cloud.faults.add("storage.objects.insert", Fault.RATE_LIMIT, times=1, after=1)
    put(bucket, "a")
    with pytest.raises(exceptions.TooManyRequests):
        put(bucket, "b")
    assert core_cloud.faults.pending == []
    put(bucket, "b")
    assert [call.outcome for call in core_cloud.calls.of("storage.objects.insert")] == ["OK", "429", "OK"]


def test_a_dropped_answer_is_that_of_a_call_that_happened(bucket: storage.Bucket, core_cloud: LoopbackCloud) -> None:
    core_cloud.faults.add("storage.objects.insert", Fault.DROPPED)
    with pytest.raises(Exception, match=r"Connection|connection"):
        put(bucket, "a", if_generation_match=0)
    assert bucket.blob("a").download_as_bytes() == b"data"
    with pytest.raises(exceptions.PreconditionFailed):
        put(bucket, "a", if_generation_match=0)


def test_permissions_and_tokens_are_checked(bucket: storage.Bucket, core_cloud: LoopbackCloud) -> None:
    put(bucket, "a")
    core_cloud.permissions.deny(core_cloud.airflow_principal, "storage.objects.delete")
    with pytest.raises(exceptions.Forbidden, match=r"does not have storage\.objects\.delete access"):
        put(bucket, "a", b"replaced")
    core_cloud.permissions.clear()
    exchanged = len(core_cloud.calls.of("oauth2.token"))
    core_cloud.identity.revoke_all()
    assert bucket.blob("a").download_as_bytes() == b"data"
    assert "401" in [call.outcome for call in core_cloud.calls]
    assert len(core_cloud.calls.of("oauth2.token")) > exchanged


def test_a_bucket_tells_that_its_folders_are_names_alone(bucket: storage.Bucket) -> None:
    layout = bucket.client._connection.api_request("GET", f"/b/{bucket.name}/storageLayout")
    assert layout["hierarchicalNamespace"] == {"enabled": False}
    with pytest.raises(exceptions.NotFound):
        bucket.client._connection.api_request("GET", "/b/nowhere/storageLayout")
