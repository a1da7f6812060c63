"""Processes that run code under test, as the commands of ``ci-cd`` do."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import PROJECT
from tests.unit.warm.warm_project import runs, wait_until

SECRETS = {
    "SECRET_TOKEN": "hunter2-plain",
    "AIRFLOW_CONN_GIT": "hunter2-airflow",
    "GOOGLE_APPLICATION_CREDENTIALS": "/hunter2-google",
    "CLOUDSDK_CONFIG": "/hunter2-gcloud",
    "HTTPS_PROXY": "http://user:hunter2-proxy@127.0.0.1:9",
    "TF_VAR_password": "hunter2-terraform",
}


@dataclass
class Caller:
    """Starts processes that run something of ``sandboxed.py`` in a sandbox below ``folder``."""

    folder: Path

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    def start(self, name: str, **limits: float) -> subprocess.Popen[str]:
        self.checkout.mkdir(exist_ok=True)
        given = [f"{limit}={value}" for limit, value in limits.items()]
        return subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("sandboxed.py")), str(self.folder), name, *given],
            env={**os.environ, **SECRETS, "PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, name: str, **limits: float) -> dict[str, Any]:
        out, error = self.start(name, **limits).communicate(timeout=120)
        assert out, error
        outcome: dict[str, Any] = json.loads(out)
        return outcome

    def ids(self) -> dict[str, int]:
        file = self.checkout / "ids.json"
        wait_until(file.exists, "the process ids")
        ids: dict[str, int] = json.loads(file.read_text())
        return ids

    def processes(self) -> list[int]:
        """All that were started here and still run: their command line names the folder."""
        found = []
        for entry in os.scandir("/proc"):
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and str(self.folder).encode() in Path(entry.path, "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def all_end(self) -> None:
        for name, pid in self.ids().items():
            wait_until(functools.partial(_ended, pid), f"the end of {name}")


def _ended(pid: int) -> bool:
    return not runs(pid)
