"""One git process at a time: its arguments as a list, its environment given, its time limited."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import IO

from ml.ci_cd.output import without_control
from ml.errors import MissingEnvironmentError
from ml.warm.lineage import die_with_parent

#: The first version that takes settings from the environment (GIT_CONFIG_COUNT): an older one would run without any.
OLDEST_VERSION = (2, 31)

_BLOCK = 1 << 20


class GitFailedError(Exception):
    """git ended with ``exit_code`` (negative: killed by that signal; None: out of time) and wrote ``stderr``."""

    def __init__(self, command: str, exit_code: int | None, stderr: str) -> None:
        self.command = command
        self.exit_code = exit_code
        self.stderr = stderr
        super().__init__(f"git {command}: {self.reason}")

    @property
    def reason(self) -> str:
        """The line that says why, without git's own prefix."""
        # A server's own words are among them.
        said = [without_control(line).strip() for line in self.stderr.splitlines()]
        lines = [line for line in said if line]
        fatal = [line for line in lines if line.startswith(("fatal: ", "error: ", "remote: "))]
        told = next((line for line in fatal if line.startswith("fatal: ")), (fatal or lines or [""])[0])
        return re.sub(r"^(fatal|error): ", "", told)[:300] or self._ending

    @property
    def _ending(self) -> str:
        return "no answer in time" if self.exit_code is None else f"ended with exit code {self.exit_code}"


def run_git(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    seconds: float,
    stdin: bytes = b"",
    cwd: Path | None = None,
    keep_open: Sequence[int] = (),
) -> bytes:
    """What ``git *arguments`` writes to standard output.

    ``keep_open`` are file descriptors that git and all its children inherit: a lock that is held through one stays held
    until the last of them has ended. git is killed when this process ends, with its group at the time limit. Raises
    ``GitFailedError``, and ``MissingEnvironmentError`` where git is missing or too old.
    """
    with _started(arguments, environment, cwd=cwd, keep_open=keep_open, stdin=subprocess.PIPE) as (process, stderr):
        try:
            output, _ = process.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise GitFailedError(_command(arguments), None, "") from None
        if process.returncode:
            raise GitFailedError(_command(arguments), process.returncode, _text(stderr))
        return output


def stream_git(
    arguments: Sequence[str], environment: Mapping[str, str], *, keep_open: Sequence[int] = ()
) -> Generator[bytes, None, None]:
    """The records that ``git *arguments`` writes, each ended by a NUL, as they come. Raises as :func:`run_git`.

    Whoever may stop before the last one closes it: git would wait, and keep the lock.
    """
    with _started(arguments, environment, cwd=None, keep_open=keep_open) as (process, stderr):
        assert process.stdout is not None  # noqa: S101 - for mypy
        rest = b""
        while block := process.stdout.read(_BLOCK):
            *records, rest = (rest + block).split(b"\0")
            yield from records
        if process.wait():
            raise GitFailedError(_command(arguments), process.returncode, _text(stderr))


async def run_git_async(arguments: Sequence[str], environment: Mapping[str, str], *, seconds: float) -> bytes:
    """:func:`run_git` for an event loop, which never waits for git. Cancelling kills git and what it started."""
    await asyncio.to_thread(check_git)
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            "git",
            *arguments,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    )
    try:
        # Cancelled while it starts git, asyncio kills git alone, and then waits for the helper that git started.
        process = await asyncio.shield(starting)
        output, stderr = await asyncio.wait_for(process.communicate(), seconds)
    except asyncio.TimeoutError:
        raise GitFailedError(_command(arguments), None, "") from None
    finally:
        started = await starting
        if started.returncode is None:
            _kill_group(started.pid)
            await started.wait()
    if process.returncode:
        raise GitFailedError(_command(arguments), process.returncode, stderr.decode("utf-8", "replace"))
    return output


@lru_cache(maxsize=1)
def check_git() -> None:
    """Raises ``MissingEnvironmentError`` where git is missing, or older than :data:`OLDEST_VERSION`."""
    wanted = ".".join(map(str, OLDEST_VERSION))
    try:
        environment = {"PATH": os.environ.get("PATH", os.defpath)}
        told = subprocess.run(["git", "version"], env=environment, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise MissingEnvironmentError(
            f"git can't be run where Airflow's tasks run: install git {wanted} or newer there"
        ) from None
    found = re.search(r"(\d+)\.(\d+)", told)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_VERSION:
        raise MissingEnvironmentError(f"{told.strip()} is too old: install git {wanted} or newer")


@contextlib.contextmanager
def _started(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    cwd: Path | None,
    keep_open: Sequence[int],
    stdin: int = subprocess.DEVNULL,
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    check_git()
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            ["git", *arguments],
            env=dict(environment),
            cwd=cwd,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            pass_fds=keep_open,
            start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid()),
        )
        with process:
            try:
                yield process, stderr
            finally:
                if process.poll() is None:
                    _kill_group(process.pid)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _text(stderr: IO[bytes]) -> str:
    stderr.seek(0)
    return stderr.read(_BLOCK).decode("utf-8", "replace")


def _command(arguments: Sequence[str]) -> str:
    return next((argument for argument in arguments if not argument.startswith("-")), "")
