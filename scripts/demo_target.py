"""Where a demo's pipelines run: on this machine, or on the Google Cloud that ``tests/gcp`` puts on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import yaml

from ml.home import PROJECT, pipeline_folder
from ml.settings import Target
from scripts.demo_timeline import DemoError

TARGETS: tuple[str, ...] = get_args(Target)

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"

#: No registry has it: the cloud on loopback runs an image's commands in TFX's environment.
_IMAGE = "europe-west4-docker.pkg.dev/respan-demo/respan/respan:demo"


@dataclass(frozen=True)
class DemoTarget:
    """``storage``: the storage root, None for the deployment's own folder. ``environment``: what Airflow needs to know
    beside that, ``machine`` what a command needs that has no connection of Airflow's. ``settings``: what replaces the
    pipeline's own, section by section."""

    storage: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def install(self, pipeline: str, pipelines: Path) -> None:
        """Puts a copy of ``pipeline`` with the target's settings into ``pipelines``; nothing where it has none."""
        if not self.settings:
            return
        folder = pipelines / pipeline
        shutil.copytree(pipeline_folder(pipeline), folder, ignore=shutil.ignore_patterns("__pycache__"))
        file = folder / "settings.yaml"
        settings = {**yaml.safe_load(file.read_text("utf-8")), **self.settings}
        file.write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")


@contextlib.contextmanager
def demo_target(name: str, folder: Path, tfx_python: Path) -> Iterator[DemoTarget]:
    """The target ``name``; for ``vertex`` with a cloud in ``folder``, which is begun anew and has ended afterwards.

    Meanwhile this process and those that it starts reach Google's names on loopback only.
    """
    if name == "local":
        yield DemoTarget()
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ready = folder / "environment.json"
    with (folder / "cloud.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.gcp", "--folder", str(folder), "--project", "respan-demo"],
            cwd=PROJECT,
            env={**os.environ, "RESPAN_TFX_PYTHON": str(tfx_python)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await(ready, process, folder / "cloud.log")
        cloud = json.loads(ready.read_text("utf-8"))
        with _reached_by_this_process(cloud["environment"]):
            yield DemoTarget(
                storage=f"gs://{cloud['buckets'][0]}",
                environment=cloud["environment"],
                machine=cloud["workload_environment"],
                settings={
                    "target": "vertex",
                    "vertex": {
                        "region": cloud["region"],
                        "image": _IMAGE,
                        "poll_seconds": 2,
                        "endpoint": {"enabled": True},
                    },
                },
            )
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _await(ready: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise DemoError(f"the cloud on loopback does not start: see {log}")
        time.sleep(0.1)


@contextlib.contextmanager
def _reached_by_this_process(environment: Mapping[str, str]) -> Iterator[None]:
    from google.oauth2.service_account import Credentials

    from ml.storage.credentials import set_credentials

    connection = json.loads(environment["AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"])
    key = connection["extra"]["keyfile_dict"]
    credentials = Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
        json.loads(key) if isinstance(key, str) else key, scopes=[_SCOPE]
    )
    before = dict(os.environ)
    os.environ.update({name: value for name, value in environment.items() if not name.startswith("AIRFLOW_")})
    set_credentials(lambda: credentials)
    try:
        yield
    finally:
        set_credentials(None)
        os.environ.clear()
        os.environ.update(before)
