"""The script that makes a Google Cloud project ready, run against a double of ``gcloud``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ml.home import PROJECT

SCRIPT = PROJECT / "docs" / "google-cloud" / "setup.sh"
ROLE = PROJECT / "docs" / "google-cloud" / "airflow-role.yaml"
AIRFLOW = "serviceAccount:respan-airflow@p.iam.gserviceaccount.com"
WORKLOAD = "serviceAccount:respan-workload@p.iam.gserviceaccount.com"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    gcloud = tmp_path / "bin" / "gcloud"
    gcloud.parent.mkdir()
    gcloud.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.unit.docs.gcloud_double "$@"\n', "utf-8")
    gcloud.chmod(0o755)
    return tmp_path / "state.json"


def _run(state: Path, **variables: str) -> dict[str, Any]:
    environment = {
        "PATH": f"{state.parent / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "GCLOUD_STATE": str(state),
        "PROJECT": "p",
        "REGION": "europe-west4",
        "BUCKET": "b",
    }
    done = subprocess.run(
        [str(SCRIPT)], env={**environment, **variables}, capture_output=True, text=True, check=False, cwd=state.parent
    )
    assert done.returncode == 0, done.stderr
    assert "RESPAN_STORAGE=gs://b" in done.stdout
    found: dict[str, Any] = json.loads(state.read_text("utf-8"))
    return found


def test_a_new_project_gets_buckets_accounts_and_rights(state: Path) -> None:
    made = _run(state)
    assert {"storage buckets gs://b", "storage buckets gs://p_cloudbuild", "artifacts repositories respan"} < set(
        made["made"]
    )
    assert "aiplatform.googleapis.com" in made["apis"]
    assert "dataflow.googleapis.com" not in made["apis"]
    assert ["gs://b", AIRFLOW, "roles/storage.objectUser"] in made["granted"]
    assert ["gs://b", WORKLOAD, "roles/storage.objectUser"] in made["granted"]


def test_a_second_run_makes_nothing_anew(state: Path) -> None:
    first = _run(state)
    assert _run(state) == first


def test_airflow_has_nothing_on_the_whole_project_but_its_own_role(state: Path) -> None:
    made = _run(state, DATAFLOW="yes", KUBERNETES_ACCOUNT="airflow/worker")
    assert [role for on, member, role in made["granted"] if on == "p" and member == AIRFLOW] == [
        "projects/p/roles/respanAirflow"
    ]


@pytest.mark.parametrize(
    ("variable", "value", "grant"),
    [
        (
            "KUBERNETES_ACCOUNT",
            "airflow/worker",
            ["respan-airflow@p.iam.gserviceaccount.com", "serviceAccount:p.svc.id.goog[airflow/worker]",
             "roles/iam.workloadIdentityUser"],
        ),
        ("DATAFLOW", "yes", ["p", WORKLOAD, "roles/dataflow.worker"]),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_granted(state: Path, variable: str, value: str, grant: list[str]) -> None:
    assert grant not in _run(state)["granted"]
    assert grant in _run(state, **{variable: value})["granted"]


def test_without_cloud_build_there_is_no_registry(state: Path) -> None:
    made = _run(state, CLOUD_BUILD="no")
    assert not any("artifacts" in what or "cloudbuild" in what for what in [*made["made"], *made["apis"]])


def test_what_is_missing_is_named() -> None:
    done = subprocess.run(
        [str(SCRIPT)], env={"PATH": os.environ["PATH"], "PROJECT": "p"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "REGION: the region of all that runs" in done.stderr


def test_the_role_is_sorted_and_names_no_permission_twice() -> None:
    permissions = yaml.safe_load(ROLE.read_text("utf-8"))["includedPermissions"]
    assert permissions == sorted(set(permissions))
