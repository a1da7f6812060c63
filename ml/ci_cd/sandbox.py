"""Code under test in processes of its own: a clean environment, limits, and nothing of it lives on.

The command forks a guard (:mod:`ml.ci_cd.guard`), which forks the code under test. Whoever of the three dies, however
it happens, the code under test and every process that it started end. It is no jail: that code runs as the same user,
who may read that user's files.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from ml.ci_cd.clean_environment import erase_first_environment, import_root, sandbox_environment
from ml.ci_cd.folders import read_file, remove
from ml.ci_cd.guard import Ending, Limit, be_guard, close_files
from ml.ci_cd.output import Output, forward
from ml.ci_cd.process_tree import adopting_orphans, descendants, end_descendants
from ml.ci_cd_settings import LimitSettings
from ml.errors import CodeError, KilledError
from ml.home import PROJECT
from ml.warm.fresh import end_with, forget_ml, reset_signals, run_command, take_environment
from ml.warm.lineage import die_with_parent

__all__ = ["MlResult", "Outcome", "import_root", "run_ml", "run_sandboxed", "sandbox_environment", "use_checkout"]

HOME = "home"
TEMPORARY = "tmp"
_DOCUMENT = "document.json"
_LARGEST_DOCUMENT = 16 * 2**20
_MIB = 2**20
_STANDARD_ERROR = 2
# Where memory runs out, the kernel ends code under test before anything else.
_FIRST_TO_END = b"1000"


@dataclass(frozen=True)
class Outcome:
    """How code under test ended. ``code`` is its exit code (negative: by that signal), None at a ``limit``.

    ``output`` is what it wrote; ``left`` names processes that it left behind, which have been ended.
    """

    code: int | None
    limit: Limit | None
    seconds: float
    left: list[str]
    output: Output

    def check(self, what: str, limits: LimitSettings) -> int:
        """The exit code, where the code under test came to an end by itself.

        Raises ``CodeError`` at a limit and ``KilledError`` where somebody killed it; ``what`` is the message's subject
        in the plural ("the tests").
        """
        if self.limit is Limit.SECONDS:
            raise CodeError(f"{what} took longer than {limits.seconds:,g} s and were ended (ci_cd.limits.seconds)")
        if self.limit is Limit.PROCESSES:
            raise CodeError(
                f"{what} started more than {limits.processes:,} processes and were ended (ci_cd.limits.processes)"
            )
        if self.limit is not None:
            used = "used more memory" if self.limit is Limit.MEMORY else "wrote more"
            most = getattr(limits, self.limit.value)
            raise CodeError(f"{what} {used} than {most:,} MiB and were ended (ci_cd.limits.{self.limit.value})")
        if self.code is None:
            raise KilledError(f"{what} were ended, since the process that watches over them was killed: try again")
        if self.code == -9:
            raise KilledError(f"{what} were killed (SIGKILL): memory ran out on this machine, or somebody did it")
        return self.code


def run_sandboxed(
    target: Callable[[], int],
    *,
    folder: Path,
    limits: LimitSettings,
    cwd: Path,
    environment: Mapping[str, str],
) -> Outcome:
    """Calls ``target`` in a forked process and waits until it and all that it started are gone.

    ``folder`` is the sandbox's own and made here; home and temporary folder in it are removed at the end, and the whole
    folder where this process dies. ``cwd`` is the checkout, whose growth counts as written. ``environment`` is all
    that ``target`` sees of it, see :func:`sandbox_environment`. What it writes goes to this process's standard error.
    The caller must have no other threads.
    """
    for name in (HOME, TEMPORARY):
        (folder / name).mkdir(parents=True, exist_ok=True)
    caller_alive, alive_end = os.pipe()
    result, result_end = os.pipe()
    written, written_end = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    spared = {process.pid for process in descendants(os.getpid())}
    with adopting_orphans():
        guard = os.fork()
        if not guard:
            os.close(alive_end)
            be_guard(
                partial(_become, target, limits, cwd, environment),
                limits,
                folder=folder,
                checkout=cwd,
                caller_alive=caller_alive,
                result=result_end,
                output=written_end,
            )
        for file in (caller_alive, result_end, written_end):
            os.close(file)
        try:
            ending, seen = forward(written, result, _STANDARD_ERROR)
        finally:
            os.close(alive_end)
            os.waitpid(guard, 0)
            for left in end_descendants(os.getpid(), spared):  # where the guard was killed
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(left.pid, os.WNOHANG)
            for file in (written, result):
                os.close(file)
            for name in (HOME, TEMPORARY):
                remove(folder / name)
    end = Ending.from_json(ending) if ending else Ending(None, None, 0.0, [])
    return Outcome(end.code, end.limit, end.seconds, end.left, seen)


def _become(
    target: Callable[[], int], limits: LimitSettings, cwd: Path, environment: Mapping[str, str], guard: int
) -> NoReturn:
    """In the forked child of the guard: calls ``target`` as if this process had just been started."""
    os.setsid()
    die_with_parent(guard)

    def clean_target() -> int:
        reset_signals()
        close_files()
        atexit._clear()
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        erase_first_environment()
        take_environment(environment)
        os.chdir(cwd)
        with contextlib.suppress(OSError):  # in some containers it can't be changed
            Path("/proc/self/oom_score_adj").write_bytes(_FIRST_TO_END)
        _lower_limit(resource.RLIMIT_CORE, 0)
        _lower_limit(resource.RLIMIT_FSIZE, limits.disk_mb * _MIB)
        sys.dont_write_bytecode = True
        return target()

    end_with(clean_target)


def _lower_limit(kind: int, most: int) -> None:
    _soft, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def use_checkout(checkout: Path) -> None:
    """In the sandbox: ``ml`` is imported from the checkout, see :func:`import_root`, and nothing from this project."""
    root = str(import_root(checkout))
    elsewhere = [path for path in sys.path if path not in ("", root, str(PROJECT))]
    sys.path[:] = [root, *elsewhere]
    sys.path_importer_cache.clear()
    forget_ml()


@dataclass(frozen=True)
class MlResult:
    """What a command of the checkout's ``ml`` gave: its JSON document if it printed one, and its last error line."""

    outcome: Outcome
    document: dict[str, Any] | None
    error: str | None


def run_ml(
    argv: Sequence[str],
    *,
    folder: Path,
    limits: LimitSettings,
    checkout: Path,
    environment: Mapping[str, str],
) -> MlResult:
    """Runs ``python -m ml *argv`` of the checkout in a sandbox, with the arguments of :func:`run_sandboxed`.

    What it writes to standard error is seen at once; its standard output is kept for the document.
    """
    folder.mkdir(parents=True, exist_ok=True)
    document = folder / _DOCUMENT
    document.unlink(missing_ok=True)

    def command() -> int:
        file = os.open(document, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        os.dup2(file, 1)
        os.close(file)
        use_checkout(checkout)
        sys.argv = [str(import_root(checkout) / "ml" / "__main__.py"), *argv]
        return run_command(argv)

    outcome = run_sandboxed(command, folder=folder, limits=limits, cwd=checkout, environment=environment)
    return MlResult(outcome, _read_document(document), outcome.output.last_error())


def _read_document(file: Path) -> dict[str, Any] | None:
    """The last line of ``file`` as a JSON document. Code under test wrote it, so it may be anything."""
    lines = (read_file(file, _LARGEST_DOCUMENT) or b"").strip().splitlines()
    try:
        document = json.loads(lines[-1]) if lines else None
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
