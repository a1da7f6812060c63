"""A container engine and its compose, as the check of the stack speaks to them. Standard library only."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from scripts.stack.env_file import PROJECT


class BrokenPromiseError(Exception):
    """What the stack should have done and didn't; one line."""


@dataclass(frozen=True)
class Engine:
    """``compose`` and ``engine`` are commands with their first arguments; ``variables`` are for compose, which prefers
    them to those of ``.env``."""

    compose: Sequence[str]
    engine: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)

    def copy(self, project: str, **variables: str) -> Engine:
        """Another stack of the same file, with volumes of its own, beside this one."""
        return replace(self, variables={**self.variables, "COMPOSE_PROJECT_NAME": project, **variables})

    def with_metrics(self) -> Engine:
        return replace(
            self, compose=(*self.compose, "--profile", "metrics"), variables={**self.variables, "RESPAN_STATSD": "True"}
        )

    def build(self) -> None:
        self.on_compose("build")

    def up(self, *services: str, workers: int = 1) -> None:
        """Returns when every service, or each of ``services``, is healthy."""
        self.on_compose("up", "--detach", "--wait", "--scale", f"worker={workers}", *services)

    def tools(self, *command: str, show: bool = False, given: Path | None = None, into: Path | None = None) -> str:
        """What ``command`` prints in the service ``tools``; see :func:`run` for the rest."""
        words = ("--profile", "tools", "run", "--rm", "-T", "tools", *command)
        return self.on_compose(*words, show=show, given=given, into=into)

    def postgres(self, *command: str, given: Path | None = None, into: Path | None = None) -> str:
        """What ``command`` prints in the service ``postgres``."""
        return self.on_compose("exec", "-T", "postgres", *command, given=given, into=into)

    def on_compose(self, *words: str, show: bool = False, given: Path | None = None, into: Path | None = None) -> str:
        return run([*self.compose, *words], variables=self.variables, show=show, given=given, into=into)

    def on_engine(self, *words: str) -> str:
        return run([*self.engine, *words])

    def image_bytes(self, image: str) -> int:
        return int(self.on_engine("image", "inspect", "--format", "{{.Size}}", image).split()[-1])


def run(
    command: Sequence[str],
    *,
    variables: Mapping[str, str] | None = None,
    show: bool = False,
    given: Path | None = None,
    into: Path | None = None,
) -> str:
    """What ``command`` prints. ``show`` lets it print by itself, ``given`` is the file that it reads, and what it
    prints goes ``into`` a file.

    Raises ``BrokenPromiseError`` with the last words of a command that fails.
    """
    with (given or Path(os.devnull)).open("rb") as reads, (into or Path(os.devnull)).open("wb") as writes:
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env={**os.environ, **(variables or {})},
            stdin=reads,
            stdout=writes if into else None if show else subprocess.PIPE,
            stderr=None if show else subprocess.PIPE,
            check=False,
        )
    told, complained = (text.decode("utf-8", "replace").strip() if text else "" for text in (done.stdout, done.stderr))
    if done.returncode:
        words = (complained or told or "see above").splitlines()
        raise BrokenPromiseError(f"{shlex.join(command[:8])} … ended with {done.returncode}: {words[-1]}")
    return told
