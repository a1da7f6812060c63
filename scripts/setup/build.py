"""Builds what is missing: the bootstrap environment with uv, then each environment that isn't up to date."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.setup import interpreters, locks
from scripts.setup.environments import (
    Environment,
    Flavour,
    Stamp,
    choose,
    content,
    drop_stamp,
    environments,
    read_stamp,
    up_to_date,
)
from scripts.setup.failure import SetupError
from scripts.setup.interpreters import Interpreter
from scripts.setup.steps import Steps, say

#: Any of these can make the bootstrap environment: uv itself is a program, not a library.
BOOTSTRAP_PYTHONS = tuple((3, minor) for minor in (11, 12, 13, 14, 10))


def set_up(
    project: Path, home: Path, variables: Mapping[str, str], wanted: Sequence[Environment] | None = None
) -> None:
    """Makes environments (``wanted``, or both) what their locks say. Does nothing, and runs nothing, where they are
    already.

    Safe to call at any time, by any number of processes: one builds, the others wait for it.
    Raises ``SetupError`` before any work where an interpreter is missing.
    """
    wanted = environments() if wanted is None else wanted
    if all(up_to_date(project, each, home / "envs" / each.name, variables) for each in wanted):
        return
    with only_one(home) as held:
        missing = [e for e in wanted if not up_to_date(project, e, home / "envs" / e.name, variables)]
        plans = [(each, *choose(each, variables)) for each in missing]
        if not plans:
            return
        steps = Steps(home / "envs" / "setup.log", installing_variables(home, variables), project, held)
        uv = bootstrap(home, steps, variables)
        for environment, flavour, python in plans:
            fill(project, home, environment, flavour, python, uv, steps, variables)


def fill(
    project: Path,
    home: Path,
    environment: Environment,
    flavour: Flavour,
    python: Interpreter,
    uv: Path,
    steps: Steps,
    variables: Mapping[str, str],
) -> None:
    """Installs ``flavour`` into ``environment``; changes only what differs where a finished one is there already."""
    folder = home / "envs" / environment.name
    before = read_stamp(folder)
    drop_stamp(folder)
    say(f"{flavour.label} on {python} in {folder}: a few minutes, once")
    if before is None or before.interpreter != str(python.executable) or before.python != str(python):
        remove(folder)
        steps.run("making the environment", [str(uv), "venv", "--python", str(python.executable), str(folder)])
    inside = folder / "bin" / "python"
    listed = [lock.target for lock in flavour.locks]
    install = [str(uv), "pip", "sync", "--compile-bytecode", "--python", str(inside), *listed]
    steps.run(f"installing {', '.join(listed)}", install, tries=2)
    steps.run(f"checking: {flavour.proof}", [str(inside), "-c", flavour.proof])
    asked = variables.get(environment.override) or None
    where = content(project, flavour, folder)
    Stamp(flavour.label, where, str(python.executable), str(python), asked).write(folder)


def bootstrap(home: Path, steps: Steps, variables: Mapping[str, str]) -> Path:
    """uv's program in ``$RESPAN_HOME/envs/bootstrap``, installed if it isn't there in the pinned version."""
    folder = home / "envs" / "bootstrap"
    uv = folder / "bin" / "uv"
    mark = folder / "respan-stamp"
    place = f"{locks.UV} {folder.resolve()}\n"
    if mark.is_file() and mark.read_text("utf-8") == place and os.access(uv, os.X_OK):
        return uv
    remove(folder)
    python = interpreter_with_pip(variables)
    steps.run("making the bootstrap environment", [str(python.executable), "-m", "venv", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-deps", "--disable-pip-version-check"]
    steps.run(f"installing {locks.UV}", [*pip, locks.UV], tries=2)
    mark.write_text(place, "utf-8")
    return uv


def interpreter_with_pip(variables: Mapping[str, str]) -> Interpreter:
    """An interpreter that can make an environment with pip. Raises ``SetupError`` where there is none."""
    for candidate in (Path(sys.executable), *interpreters.candidates(BOOTSTRAP_PYTHONS, variables)):
        found = interpreters.ask(candidate)
        if found is not None and found.ensurepip:
            return found
    raise SetupError(
        "no Python here can make an environment with pip: install its venv module (Debian: apt install python3-venv)"
    )


def compile_locks(project: Path, home: Path, variables: Mapping[str, str]) -> None:
    """Compiles every lock from its source. Each is replaced in one step, and only by a whole one."""
    with only_one(home) as held:
        steps = Steps(home / "envs" / "setup.log", installing_variables(home, variables), project, held)
        uv = bootstrap(home, steps, variables)
        for lock in locks.LOCKS:
            python = interpreters.find(lock.pythons, variables)
            named = ["--python", str(python.executable)] if python else []
            # Into an empty file: with an older lock there, uv would keep its versions.
            draft = home / "envs" / "lock.part"
            draft.write_text("", "utf-8")
            command = [str(uv), "pip", "compile", *named, "--output-file", str(draft), *lock.arguments()]
            steps.run(f"compiling {lock.target}", command, tries=2)
            compiled = f"{locks.stamp_line(project, lock)}\n{draft.read_text('utf-8')}"
            draft.write_text(compiled, "utf-8")
            shutil.move(draft, project / lock.target)


def installing_variables(home: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that pip and uv run with: the user's own, made to work on a machine where nothing is set."""
    cleared = ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX")
    mine = {name: value for name, value in variables.items() if name not in cleared}
    mine.setdefault("UV_SYSTEM_CERTS", "1")
    mine.setdefault("UV_PYTHON_DOWNLOADS", "never")
    mine.setdefault("UV_HTTP_TIMEOUT", "180")
    mine.setdefault("PIP_DEFAULT_TIMEOUT", "180")
    if (
        "UV_CACHE_DIR" not in mine
        and "XDG_CACHE_HOME" not in mine
        and not _may_write(Path(mine.get("HOME", "/")) / ".cache")
    ):
        mine["UV_CACHE_DIR"] = str(home / "cache" / "uv")
    return mine


@contextmanager
def only_one(home: Path) -> Iterator[int]:
    """Holds the set-up's lock below ``home``; gives its file descriptor, which child processes may inherit."""
    envs = home / "envs"
    try:
        envs.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(envs / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise SetupError(
            f"can't write to {envs}: {error.strerror}; set RESPAN_HOME to a folder that can be written"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is at work here; waiting for it …")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def remove(folder: Path) -> None:
    """Removes ``folder``, or the link that stands in its place."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def _may_write(folder: Path) -> bool:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)
