"""What a user is told where Cloud Storage refuses for good, and whose credentials are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ml.errors import StorageError
from ml.storage.credentials import ACCESS_TOKEN, set_credentials
from ml.storage.gcs import GcsStorage
from tests.gcp.faults import Fault

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud

REFUSALS = {
    "503": (Fault.UNAVAILABLE, r"Cloud Storage is in trouble \(503\): retry later"),
    "429": (Fault.RATE_LIMIT, "limits the rate of requests: retry later, or raise the project's quota"),
    "quota": (Fault.QUOTA, "quota"),
    "bad request": (Fault.INVALID_ARGUMENT, "Invalid argument"),
    "dropped": (Fault.DROPPED, "can't be reached: check the network and the proxy, then retry"),
}


@pytest.mark.parametrize(("fault", "told"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize(
    "work", [lambda s: s.stat("a"), lambda s: s.read("a"), lambda s: list(s.list()), lambda s: s.write("b", b"")]
)
def test_what_lasts_is_one_line_with_cause_and_remedy(
    remote: GcsStorage, cloud: LoopbackCloud, fault: Fault, told: str, work: Callable[[GcsStorage], object]
) -> None:
    remote.write("a", b"content")
    cloud.faults.add("storage.objects.*", fault, times=None)
    with pytest.raises(StorageError, match=told) as refused:
        work(remote)
    assert "gs://faulty/" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("permission", "work"),
    [
        ("storage.objects.create", lambda s: s.write("b", b"")),
        ("storage.objects.get", lambda s: s.read("a")),
        ("storage.objects.list", lambda s: list(s.list())),
        ("storage.objects.delete", lambda s: s.delete("a")),
    ],
)
def test_a_missing_permission_names_who_lacks_what_and_the_role_to_grant(
    remote: GcsStorage, cloud: LoopbackCloud, permission: str, work: Callable[[GcsStorage], object]
) -> None:
    remote.write("a", b"content")
    cloud.permissions.deny(cloud.airflow_principal, permission)
    with pytest.raises(StorageError) as refused:
        work(remote)
    for part in (permission, "roles/storage.objectUser on bucket faulty", cloud.airflow_principal):
        assert part in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_bucket_that_does_not_exist_is_told_with_the_remedy(remote: GcsStorage) -> None:
    missing = GcsStorage("no-such-bucket")
    for work in (lambda: missing.write("a", b""), lambda: list(missing.list())):
        with pytest.raises(StorageError, match="the bucket no-such-bucket does not exist: create it, or correct"):
            work()


def test_a_service_that_can_not_be_reached_is_told_with_the_remedy(
    remote: GcsStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.write("a", b"")
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="can't be reached: check the network and the proxy"):
        remote.read("a")


def test_the_token_of_the_environment_is_used_and_one_that_expired_is_told_without_it(
    remote: GcsStorage, cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = cloud.identity.issue("somebody@example.com")
    monkeypatch.setenv(ACCESS_TOKEN, token)
    cloud.calls.clear()
    remote.write("a", b"")
    assert {call.principal for call in cloud.calls.of("storage.objects.insert")} == {"somebody@example.com"}
    cloud.identity.revoke_all()
    for work in (lambda: remote.read("a"), lambda: remote.write("a", b""), lambda: list(remote.list())):
        with pytest.raises(StorageError, match="have expired: a retry gets new ones") as refused:
            work()
        assert token not in f"{refused.value} {refused.value.__cause__!r}"
    monkeypatch.setenv(ACCESS_TOKEN, cloud.identity.issue("somebody@example.com"))
    assert remote.read("a") == b""


def test_credentials_that_were_set_come_first(
    remote: GcsStorage, cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.oauth2.credentials import Credentials

    token = cloud.identity.issue("airflow@example.com")
    monkeypatch.setenv(ACCESS_TOKEN, "not this one")
    set_credentials(lambda: Credentials(token))  # type: ignore[no-untyped-call]
    cloud.calls.clear()
    remote.write("a", b"")
    assert {call.principal for call in cloud.calls.of("storage.objects.insert")} == {"airflow@example.com"}


def test_a_process_without_credentials_is_told_where_to_get_some(
    remote: GcsStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    set_credentials(lambda: None)
    with pytest.raises(StorageError, match=r"no credentials for Google Cloud: .*gcloud auth application-default login"):
        remote.read("a")
