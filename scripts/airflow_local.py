"""A whole Airflow on this machine: scheduler, DAG processor, triggerer and API server, on SQLite.

Used by the demo, the end-to-end tests and the benchmarks. ``make airflow`` opens the same state, since everything is
below ``home``. Needs only the standard library; Airflow itself runs in its own environment's interpreter.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from scripts.airflow_api import AirflowApi, LocalAdmin
from scripts.airflow_runs import AirflowRuns, LocalAirflowError

__all__ = ["PROJECT", "LocalAirflow", "LocalAirflowError"]

PROJECT = Path(__file__).resolve().parent.parent

#: Without ``--skip-serve-logs`` both would listen on every interface; the API server reads the files itself.
COMPONENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}

#: Where a single machine differs from Airflow's defaults, which are made for a cluster.
SETTINGS = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    # Each worker is a process forked at the start; a task mostly waits for the model's side.
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS": "False",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
    # What passes between the end of one task and the start of the next is mostly this sleep.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    # How long a task whose supervisor was killed counts as running.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "60",
    "AIRFLOW__API__HOST": "127.0.0.1",
    # A task is refused its start while SQLite is busy; the default of 5 s is short on a small machine.
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
    # A task that is deferred and back within it fails its try: its supervisor has not told of its first end yet.
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "AIRFLOW__SCHEDULER__USAGE_STATS": "False",
}


class LocalAirflow(AirflowRuns):
    """Starts Airflow below ``home`` and speaks to it through its REST API. A context manager.

    :param home: ``RESPAN_HOME`` of this Airflow; its own files are in ``home/airflow``.
    :param storage: ``RESPAN_STORAGE``; default ``file://<home>/storage``.
    :param pipelines: further folders of pipelines (``RESPAN_PIPELINES``).
    :param port: of UI and API, on 127.0.0.1 only; default: a free one.
    :param python: interpreter of Airflow's environment; default: the one that runs this.
    :param environment: further variables for Airflow's processes, over :data:`SETTINGS`.
    """

    def __init__(
        self,
        home: Path,
        *,
        storage: str | None = None,
        pipelines: str | None = None,
        port: int | None = None,
        python: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home.absolute()
        self.port = port or _free_port()
        self.python = python or Path(sys.executable)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
            **SETTINGS,
            "AIRFLOW_HOME": str(self.home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            # Airflow's default file; SQLite's default of 5 s of waiting for another writer is short on a small machine.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow' / 'airflow.db'}?timeout=60",
            "PYTHONPATH": str(PROJECT),
            "RESPAN_HOME": str(self.home),
            "RESPAN_STORAGE": storage or f"file://{self.home / 'storage'}",
            **({"RESPAN_PIPELINES": pipelines} if pipelines else {}),
            **(environment or {}),
        }
        passwords = self.home / "airflow" / "simple_auth_manager_passwords.json.generated"
        super().__init__(AirflowApi(self.url, LocalAdmin(passwords)), logs=self.home / "airflow" / "logs")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What Airflow's processes are started with; a command with the same sees the same state."""
        return dict(self._environment)

    def pid(self, component: str) -> int:
        """The process id of one of :data:`COMPONENTS`."""
        return self._processes[component].pid

    def start(self, timeout: float = 120.0) -> None:
        """Creates the database where there is none, starts the components, and returns when all are healthy.

        Raises ``LocalAirflowError`` when one dies or isn't healthy within ``timeout`` seconds; nothing is left running.
        """
        (self.home / "airflow").mkdir(parents=True, exist_ok=True)
        migrate = self._airflow("db", "migrate")
        if migrate.returncode:
            raise LocalAirflowError(f"airflow db migrate failed: {_last_line(migrate.stdout)}")
        try:
            for component in COMPONENTS:
                self.start_component(component)
            self.until(self._healthy, timeout, "Airflow is not healthy")
        except BaseException:
            self.stop()
            raise

    def start_component(self, component: str) -> None:
        """Starts one of :data:`COMPONENTS`, also again after it was killed."""
        log = self.log_file(component)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._processes[component] = subprocess.Popen(
                [str(self.python), "-m", "airflow", *COMPONENTS[component]],
                env=self._environment,
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self, timeout: float = 20.0) -> None:
        """Asks every component to end, and after ``timeout`` seconds kills what is left of its process group."""
        for process in self._processes.values():
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + timeout
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            _signal(process, signal.SIGKILL)
            process.wait()
        self._processes.clear()

    def kill(self, component: str) -> None:
        """``kill -9`` of one component and of the workers in its process group."""
        _signal(self._processes[component], signal.SIGKILL)
        self._processes[component].wait()

    def __enter__(self) -> LocalAirflow:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def check_components(self, complaint: str = "Airflow can't go on") -> None:
        """Raises ``LocalAirflowError`` beginning with ``complaint`` where one of the components has died."""
        for component, process in self._processes.items():
            if process.poll() is not None:
                raise LocalAirflowError(f"{complaint}: the {component} has ended; see {self.log_file(component)}")

    def log_file(self, component: str) -> Path:
        return self.home / "airflow" / "logs" / f"{component}.log"

    def _airflow(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.python), "-m", "airflow", *arguments],
            env=self._environment,
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def _healthy(self) -> bool:
        health = self.api.health()
        parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return all(health.get(part, {}).get("status") == "healthy" for part in parts)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # Each component leads its own session, so its workers, which it may leave behind, are in its group.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port
