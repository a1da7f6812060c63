"""A project of its own for each test: a copy of ``ml`` with one more command group, ``probe``.

A test may edit the copy's code.

Everything runs as in production: a client process, the warm process that it starts, the forked command.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import ml
from ml.warm import client
from ml.warm.environment import command_environment

HERE = Path(__file__).parent


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether the process exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass
class Project:
    """A copied project with its own home; starts clients and asks after the warm process."""

    folder: Path
    home: Path
    clients: list[subprocess.Popen[str]] = field(default_factory=list)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in command_environment(os.environ).items() if not name.startswith("PYTHON")}
        return {**kept, "RESPAN_HOME": str(self.home), **more}

    def start(self, *argv: str, **environment: str) -> subprocess.Popen[str]:
        """A client process that runs ``python -m ml *argv`` in the warm process; see ``run_warm.py``."""
        process = subprocess.Popen(
            [sys.executable, str(HERE / "run_warm.py"), *argv],
            env={**self.environment(**environment), "PYTHONPATH": str(self.folder)},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.clients.append(process)
        return process

    def warm(self, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*argv, **environment)
        out, error = process.communicate(timeout=120)
        return subprocess.CompletedProcess(argv, process.returncode, out, error)

    def cold(self, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ml", *argv],
            env=self.environment(**environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def servers(self) -> list[int]:
        return list(client.status(self.environment()))

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / "ml" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def sleeping(self, name: str) -> dict[str, int]:
        """Waits until ``probe sleep`` tells its process ids in ``name``: session, worker and grandchild."""
        file = self.folder / name
        wait_until(file.exists, f"{name} by a sleeping command")
        ids: dict[str, int] = json.loads(file.read_text())
        return ids


@contextlib.contextmanager
def project_in(folder: Path, *, preload: bool) -> Iterator[Project]:
    """A project in ``folder``; at the end its clients and its warm processes are gone.

    Without ``preload``, its warm process imports nothing and is ready at once.
    """
    source = folder / "project"
    shutil.copytree(Path(ml.__file__).parent, source / "ml", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE / "probe.py", source / "ml" / "commands" / "probe.py")
    with (source / "ml" / "cli.py").open("a") as cli:
        cli.write('\nCOMMANDS["probe"] = "ml.commands.probe:probe"\n')
    if not preload:
        module = source / "ml" / "warm" / "preload.py"
        nothing = re.sub(r"^MODULES = \(.*?^\)", "MODULES = ()", module.read_text(), flags=re.MULTILINE | re.DOTALL)
        module.write_text(nothing)
    project = Project(source, folder / "home")
    try:
        yield project
    finally:
        for process in project.clients:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for pid in project.servers():
            os.kill(pid, signal.SIGKILL)
            wait_until(functools.partial(_ended, pid), "the warm process's end")


def _ended(pid: int) -> bool:
    return not runs(pid)
