"""Whom Airflow's processes and the commands that they start pose as, and who gets nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from respan import google_credentials
from respan.hooks.tfx import TfxHook

from ml.ci_cd.clean_environment import sandbox_environment
from ml.errors import NotFoundError, SettingsError
from ml.storage import open_storage
from ml.storage.credentials import ACCESS_TOKEN
from tests.gcp.training_runs import Runs

pytest_plugins = ["tests.gcp.training_fixtures"]


@pytest.fixture
def bucket(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RESPAN_STORAGE", root := f"gs://{runs.cloud.bucket}/respan")
    return root


def test_airflows_storage_is_reached_as_the_connections_account(runs: Runs, bucket: str) -> None:
    open_storage(bucket).write("hello", b"you")
    (call,) = [call for call in runs.cloud.calls if call.method == "storage.objects.insert"]
    assert call.principal == runs.cloud.airflow_principal


def test_a_command_gets_a_token_where_storage_is_in_the_cloud(runs: Runs, bucket: str) -> None:
    environment = TfxHook().environment()
    assert environment[ACCESS_TOKEN]
    assert environment["RESPAN_STORAGE"] == bucket
    assert ACCESS_TOKEN not in os.environ


def test_a_command_on_local_storage_gets_none(runs: Runs) -> None:
    runs.cloud.calls.clear()
    assert ACCESS_TOKEN not in TfxHook().environment()
    assert len(runs.cloud.calls) == 0


def test_code_under_test_never_sees_the_token(
    runs: Runs, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in TfxHook().environment().items():
        monkeypatch.setenv(name, value)
    token = os.environ[ACCESS_TOKEN]
    seen = sandbox_environment(tmp_path / "sandbox", tmp_path / "checkout", "ml/pipelines")
    assert ACCESS_TOKEN not in seen
    assert not [name for name, value in seen.items() if token in value]


def test_without_a_connection_the_machines_own_account_is_left(monkeypatch: pytest.MonkeyPatch, runs: Runs) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT")
    assert google_credentials.connection_credentials() is None


def test_a_connection_that_was_named_has_to_be_there(monkeypatch: pytest.MonkeyPatch, runs: Runs) -> None:
    monkeypatch.setenv(google_credentials.CONNECTION, "another")
    with pytest.raises(NotFoundError, match="there is no Airflow connection 'another': add it"):
        google_credentials.connection_credentials()


def test_a_connection_without_a_readable_key_is_told(monkeypatch: pytest.MonkeyPatch, runs: Runs) -> None:
    monkeypatch.setenv(google_credentials.CONNECTION, "broken")
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", "google-cloud-platform://?keyfile_dict=no-json")
    with pytest.raises(SettingsError, match="Airflow connection 'broken' can't be used"):
        google_credentials.connection_credentials()


def test_who_imports_airflows_side_pays_for_no_google_library() -> None:
    program = "import sys, respan; print({'google.auth', 'airflow.providers.google.common'} & set(sys.modules))"
    folder = Path(google_credentials.__file__).parent.parent
    environment = os.environ | {"PYTHONPATH": f"{folder}:{folder.parent}"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
