"""Pipelines whose tasks run: each container is a process with the very command of the spec, on this machine."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import grpc

from tests.gcp.services.pipelines_executors import Cancelled, Execution, Failed, Failures, Outcome, Succeeded
from tests.gcp.services.pipelines_processes import ColdProcess, Process, WarmInterpreter

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud

#: Stands for the content of every image: the project's code is importable in a container.
_PROJECT = Path(__file__).resolve().parents[3]


class ContainerExecutor:
    """Runs at most ``slots`` containers at once; the others wait, PENDING.

    ``python`` in a command is ``tfx_python``. A container has the workload's environment of the cloud and what its spec
    adds, the project's root as PYTHONPATH, a working directory of its own, and a log, all below ``containers/`` in the
    cloud's folder: ``<job>/<task>-<number of its custom job>/log``.
    """

    def __init__(self, tfx_python: Path | None = None, *, slots: int = 2, warm: bool = False) -> None:
        """``tfx_python`` None: what RESPAN_TFX_PYTHON names. ``warm``: ``python -m`` forks from an interpreter that has
        TFX loaded, which spares each container ten seconds and changes nothing else."""
        self._python = tfx_python or Path(os.environ.get("RESPAN_TFX_PYTHON") or _PROJECT / "var/envs/tfx/bin/python")
        self._failures = Failures()
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="container")
        self._lined_up: dict[Execution, Future[None]] = {}
        self._warm = warm
        self._interpreter: WarmInterpreter | None = None
        self._processes: dict[Execution, Process] = {}
        self._cancelled: set[Execution] = set()
        #: Commands that were begun, as (end of the job's name, task), in the order of their starts.
        self.executions: list[tuple[str, str]] = []

    def attach(self, cloud: LoopbackCloud) -> None:
        self._cloud = cloud
        if self._warm:
            folder = cloud.folder / "warm-containers"
            folder.mkdir(exist_ok=True)
            self._interpreter = WarmInterpreter(self._python, self._environment(folder), folder / "log")

    def start(self, execution: Execution) -> None:
        with self._lock:
            self._lined_up[execution] = self._pool.submit(self._work, execution)

    def cancel(self, execution: Execution) -> None:
        with self._lock:
            future = self._lined_up.get(execution)
            if future is None:
                return
            waiting = future.cancel()
            if waiting:
                del self._lined_up[execution]
            else:
                self._cancelled.add(execution)
                if execution in self._processes:
                    self._processes[execution].kill()
        if waiting:
            execution.ended(Cancelled())

    def polled(self, job: str) -> None:
        """Containers end by themselves."""

    def fail(
        self,
        task: str,
        message: str = "",
        *,
        code: grpc.StatusCode = grpc.StatusCode.FAILED_PRECONDITION,
        times: int | None = 1,
    ) -> None:
        self._failures.order(task, Failed(message or f"{task} was told to fail.", code), times)

    def running(self) -> list[str]:
        """The tasks whose containers run."""
        with self._lock:
            return [execution.task for execution in self._processes]

    def close(self) -> None:
        with self._lock:
            executions = list(self._lined_up)
        for execution in executions:
            self.cancel(execution)
        self._pool.shutdown()
        if self._interpreter is not None:
            self._interpreter.close()

    def folder(self, execution: Execution) -> Path:
        """Where its log and working directory are."""
        job, number = execution.job.rpartition("/")[2], execution.custom_job.rpartition("/")[2]
        return self._cloud.folder / "containers" / job / f"{execution.task}-{number}"

    def _work(self, execution: Execution) -> None:
        try:
            outcome = self._outcome(execution)
        except Exception as error:
            outcome = Failed(f"Internal error: {type(error).__name__}: {error}", grpc.StatusCode.INTERNAL)
        with self._lock:
            self._lined_up.pop(execution, None)
            if execution in self._cancelled:
                self._cancelled.discard(execution)
                outcome = Cancelled()
        execution.ended(outcome)

    def _outcome(self, execution: Execution) -> Outcome:
        failure = self._failures.take(execution.task)
        execution.started()
        if failure is not None:
            return failure
        code = self._run(execution)
        output = execution.inputs["outputs"]["outputFile"]
        if code == 0:
            return Succeeded(self._document(output))
        said = self._document(f"{output.rpartition('/')[0]}/executor_error.json").get("errorMessage", "")
        number = execution.custom_job.rpartition("/")[2]
        exited = (
            f"The replica workerpool0-0 exited with a non-zero status of {code}. To find out more about why your job "
            "exited please check the logs: https://console.cloud.google.com/logs/viewer?"
            f"project={self._cloud.project_number}&resource=ml_job%2Fjob_id%2F{number}"
        )
        return Failed(f"{said} {exited}".strip())

    def _run(self, execution: Execution) -> int:
        """The exit code of the container's command."""
        folder = self.folder(execution)
        work = folder / "work"
        work.mkdir(parents=True)
        environment = self._environment(work) | {
            "CLOUD_ML_JOB_ID": execution.custom_job.rpartition("/")[2],
            **execution.environment,
        }
        with self._lock:
            if execution in self._cancelled:
                return -signal.SIGKILL
            process = self._process(execution.command, work, environment, folder / "log")
            self._processes[execution] = process
            self.executions.append((execution.job.rpartition("/")[2], execution.task))
        code = process.wait()
        with self._lock:
            del self._processes[execution]
        return code

    def _process(self, command: list[str], folder: Path, environment: Mapping[str, str], log: Path) -> Process:
        program, *arguments = command
        python = program in ("python", "python3")
        if python and self._interpreter is not None and arguments[:1] == ["-m"]:
            return self._interpreter.start(arguments, folder, environment, log)
        return ColdProcess([str(self._python) if python else program, *arguments], folder, environment, log)

    def _environment(self, work: Path) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(work),
            "TMPDIR": str(work),
            "PYTHONPATH": str(_PROJECT),
            **self._cloud.workload_environment,
        }

    def _document(self, uri: str) -> dict[str, Any]:
        """A JSON document in Cloud Storage; empty where there is none."""
        from google.api_core.exceptions import NotFound
        from google.cloud.storage import Blob

        client = self._cloud.storage_client()
        try:
            found: dict[str, Any] = json.loads(Blob.from_uri(uri, client=client).download_as_bytes())
        except NotFound:
            return {}
        finally:
            client.close()
        return found
