"""What surrounds the services: proxy, metadata server, begin and end, the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
import requests

from tests.gcp.cloud import LoopbackCloud

ROOT = Path(__file__).resolve().parents[2]


def listening() -> set[tuple[str, int]]:
    """Address and port of what this process and its children listen on."""
    own = psutil.Process()
    return {
        # gRPC's socket speaks IPv6, too, and shows the same address in that form.
        (found.laddr.ip.removeprefix("::ffff:"), found.laddr.port)
        for process in (own, *own.children(recursive=True))
        for found in process.net_connections(kind="inet")
        if found.status == psutil.CONN_LISTEN
    }


def test_it_listens_on_this_machine_alone_and_leaves_nothing(tmp_path: Path) -> None:
    before, threads = listening(), set(threading.enumerate())
    children = set(psutil.Process().children())
    with LoopbackCloud(tmp_path / "cloud"):
        opened = listening() - before
        assert {address for address, _ in opened} == {"127.0.0.1"}
        assert len(opened) == 6
    assert listening() == before
    assert set(threading.enumerate()) <= threads
    assert set(psutil.Process().children()) == children


def test_other_hosts_are_refused_and_remembered(core_cloud: LoopbackCloud) -> None:
    with pytest.raises(requests.exceptions.ProxyError, match="403"):
        requests.get("https://bigquery.googleapis.com/", timeout=10)
    assert core_cloud.refused_hosts == ["bigquery.googleapis.com"]


def test_a_container_gets_its_token_from_the_metadata_server(core_cloud: LoopbackCloud) -> None:
    base = f"http://{core_cloud.workload_environment['GCE_METADATA_HOST']}/computeMetadata/v1"
    token = f"{base}/instance/service-accounts/default/token"
    assert requests.get(token, timeout=10).status_code == 403
    found = requests.get(token, headers={"Metadata-Flavor": "Google"}, timeout=10).json()
    assert core_cloud.identity.principal(f"Bearer {found['access_token']}") == core_cloud.workload_principal
    assert "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT" not in core_cloud.workload_environment


def test_the_command_publishes_its_environment_until_it_is_told_to_end(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.gcp", "--folder", str(tmp_path / "cloud")]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    published = tmp_path / "cloud" / "environment.json"
    try:
        while not published.exists():
            assert process.poll() is None
            threading.Event().wait(0.05)
        assert published.stat().st_mode & 0o777 == 0o600
        assert "https_proxy" in json.loads(published.read_text())["environment"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert not published.exists()
