"""Runs the outside commands of the set-up, one at a time, each named."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.setup.failure import SetupError


class Steps:
    """Runs commands, keeps their output in a log file, and tells of each in one line.

    :param log: file that every command's output is appended to.
    :param held: file descriptor that commands inherit: a lock stays held until the last of them has ended, even when
        this process is killed.
    """

    def __init__(self, log: Path, variables: Mapping[str, str], cwd: Path, held: int) -> None:
        self._log = log
        self._variables = dict(variables)
        self._cwd = cwd
        self._held = held

    def run(self, name: str, command: Sequence[str], tries: int = 1) -> str:
        """Runs ``command`` and returns its output. Downloads pass ``tries=2``.

        Raises ``SetupError`` that names the step, its last words and the log.
        """
        for attempt in range(1, tries + 1):
            say(f"  {name} …" if attempt == 1 else f"  {name}: failed, trying once more …")
            started = time.monotonic()
            done = subprocess.run(
                list(command),
                cwd=self._cwd,
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(self._held,),
                check=False,
            )
            output = done.stdout.decode("utf-8", "replace")
            with self._log.open("a", encoding="utf-8") as log:
                log.write("$ {}\n{}[{}]\n".format(" ".join(command), output, done.returncode))
            if done.returncode == 0:
                say(f"  {name}: {time.monotonic() - started:.0f} s")
                return output
        raise SetupError(f"{name} failed: {last_words(output)} (all of it: {self._log})")


def last_words(output: str) -> str:
    """The line of ``output`` that says most about a failure: the last that looks like an error, else the last one."""
    lines = [line.strip(" ×╰─▶│") for line in output.splitlines() if line.strip(" ×╰─▶│")]
    telling = [line for line in lines if "error" in line.lower() or line.lower().startswith("cause:")]
    return (telling or lines or ["it printed nothing"])[-1][:300]


def say(line: str) -> None:
    """Progress, for people."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201
