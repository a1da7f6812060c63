"""The processes that stand for containers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import Any, Protocol

_SCRIPT = Path(__file__).with_name("pipelines_warm_process.py")


class Process(Protocol):
    """A process that leads a group."""

    def wait(self) -> int:
        """The exit code, once it and what it has left behind have ended."""

    def kill(self) -> None:
        """End the whole group. Nothing happens where it has ended."""


class ColdProcess:
    """A process of its own from its start."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> None:
        self._lock = Lock()
        with log.open("ab") as sink:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    def wait(self) -> int:
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._end_group()
            return self._process.wait()

    def kill(self) -> None:
        with self._lock:
            if self._process.returncode is None:
                self._end_group()

    def _end_group(self) -> None:
        """The leader isn't reaped yet, so the number is still its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


class WarmInterpreter:
    """An interpreter with TFX loaded, which becomes a container by forking. Saves ten seconds for each."""

    def __init__(self, python: Path, environment: Mapping[str, str], log: Path) -> None:
        """Starts it and returns at once. ``environment`` is what it loads TFX with; children get one of their own."""
        self._changed = Condition()
        self._numbers = count(1)
        self._codes: dict[int, int] = {}
        self._ended = False
        with log.open("ab") as sink:
            self._process = subprocess.Popen(
                [str(python), str(_SCRIPT)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
            )
        self._reader = Thread(target=self._read, name="warm containers")
        self._reader.start()

    def start(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> Process:
        """``python <arguments>``, which begin with ``-m``: at once, or when TFX is loaded."""
        number = next(self._numbers)
        self.ask(
            {
                "start": number,
                "arguments": list(arguments),
                "folder": str(folder),
                "environment": dict(environment),
                "log": str(log),
            }
        )
        return _WarmProcess(self, number)

    def ask(self, request: Mapping[str, Any]) -> None:
        """Send one request; an interpreter that has ended takes none."""
        assert self._process.stdin is not None
        with self._changed, contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def code(self, number: int) -> int:
        """The exit code of a child, once it has ended; as if killed where the interpreter has."""
        with self._changed:
            self._changed.wait_for(lambda: number in self._codes or self._ended)
            return self._codes.get(number, -signal.SIGKILL)

    def close(self) -> None:
        """Ends it and its children."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            with self._changed:
                self._codes[answer["ended"]] = answer["code"]
                self._changed.notify_all()
        self._process.stdout.close()
        self._process.wait()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class _WarmProcess:
    def __init__(self, interpreter: WarmInterpreter, number: int) -> None:
        self._interpreter, self._number = interpreter, number

    def wait(self) -> int:
        return self._interpreter.code(self._number)

    def kill(self) -> None:
        self._interpreter.ask({"kill": self._number})
