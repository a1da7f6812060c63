"""Model servers: one process for each SavedModel that is served, as a prediction container of Vertex AI has one."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

_SCRIPT = Path(__file__).with_name("model_server_process.py")


class ModelServerError(Exception):
    """The server can't load the model, refuses the instances, or has ended."""


class ModelServer:
    """A process of TFX's interpreter that serves the SavedModel in a local folder. Calls are answered one by one."""

    def __init__(self, tfx_python: Path, folder: Path, environment: Mapping[str, str]) -> None:
        """Starts it and returns at once; the model is loaded meanwhile, and the first call waits for that.

        ``environment`` is the process's whole environment.
        """
        self._lock = Lock()
        self._ready = False
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [str(tfx_python), str(_SCRIPT), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**environment, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""},
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Raises ``ModelServerError`` where the model can't be loaded."""
        with self._lock:
            self._await_ready()

    def predict(self, instances: Sequence[Any]) -> list[Any]:
        """One prediction for each instance. Raises ``ModelServerError`` with the server's message."""
        with self._lock:
            self._await_ready()
            answer = self._ask({"instances": list(instances)})
        if "error" in answer:
            raise ModelServerError(answer["error"])
        predictions: list[Any] = answer["predictions"]
        return predictions

    def close(self) -> None:
        """Ends the process at once, also while it answers. May be called twice."""
        self._process.kill()
        self._process.wait()
        with self._lock:
            for stream in (self._process.stdin, self._process.stdout, self._log):
                if stream is not None and not stream.closed:
                    _close(stream)

    def _await_ready(self) -> None:
        if not self._ready:
            answer = self._read()
            if "error" in answer:
                raise ModelServerError(f"the model can't be loaded: {answer['error']}")
            self._ready = True

    def _ask(self, request: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise self._ended() from error
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        try:
            line = self._process.stdout.readline()
        except (OSError, ValueError) as error:
            raise self._ended() from error
        if not line:
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ended(self) -> ModelServerError:
        return ModelServerError("the model server ended before it answered")


def _close(stream: Any) -> None:
    with contextlib.suppress(OSError):  # a request that the ended process has not taken
        stream.close()
