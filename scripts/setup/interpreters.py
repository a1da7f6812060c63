"""Finds Python interpreters: on the PATH, in pyenv's versions folder, in uv's folder of managed Pythons.

A name on the PATH proves nothing: it may be a shim that fails when it runs, or a Python without the modules that are
needed. So each candidate is run once and asked what it is.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.setup.failure import SetupError

Version = tuple[int, int]

#: Seconds after which a candidate that doesn't answer is passed over.
ANSWER_TIMEOUT = 20

# Run by whatever answers to the name `python3`, so it keeps to what every Python 3 knows.
_QUESTION = """
import json, os, platform, sys, sysconfig
missing = []
for name in ("ctypes", "sqlite3", "ssl", "venv", "zlib"):
    try:
        __import__(name)
    except ImportError:
        missing.append(name)
try:
    import ensurepip
    pip = True
except ImportError:
    pip = False
print(json.dumps({
    "executable": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "version": list(sys.version_info[:3]),
    "implementation": platform.python_implementation(),
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "missing": missing,
    "ensurepip": pip,
    "include": sysconfig.get_paths()["include"],
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A CPython that answered.

    ``executable``: its real path, outside any virtual environment. ``version``: (major, minor, micro). ``ensurepip``:
    whether it can make a virtual environment with pip. ``include``: the folder of its C headers, which may not exist.
    """

    executable: Path
    version: tuple[int, int, int]
    ensurepip: bool
    include: Path

    @property
    def minor(self) -> Version:
        """(major, minor): what packages are built for."""
        return self.version[:2]

    @property
    def has_headers(self) -> bool:
        """Whether extension modules can be compiled for it."""
        return (self.include / "Python.h").is_file()

    def __str__(self) -> str:
        return "Python " + ".".join(str(part) for part in self.version)


def ask(candidate: Path) -> Interpreter | None:
    """Runs ``candidate``. None where it isn't a usable CPython: it fails, hangs, or lacks a module that is needed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        answer = subprocess.run(
            [str(candidate), "-c", _QUESTION],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=ANSWER_TIMEOUT,
            check=False,
        )
        if answer.returncode != 0:
            return None
        told = json.loads(answer.stdout.decode("utf-8"))
        if told["implementation"] != "CPython" or told["free_threaded"] or told["missing"]:
            return None
        major, minor, micro = told["version"]
        return Interpreter(Path(told["executable"]), (major, minor, micro), told["ensurepip"], Path(told["include"]))
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return None


def find(versions: Sequence[Version], environment: Mapping[str, str]) -> Interpreter | None:
    """The first interpreter of one of ``versions``: by place (PATH, pyenv, uv), then in the order of ``versions``.

    ``environment``: the variables that say where to look: PATH, HOME, PYENV_ROOT, UV_PYTHON_INSTALL_DIR, XDG_DATA_HOME.
    """
    asked = set()
    for candidate in candidates(versions, environment):
        if candidate in asked:
            continue
        asked.add(candidate)
        found = ask(candidate)
        if found is not None and found.minor in versions:
            return found
    return None


def chosen(variable: str, versions: Sequence[Version], environment: Mapping[str, str]) -> Interpreter | None:
    """The interpreter that the user names in ``variable``; None where it isn't set.

    Raises ``SetupError`` where what it names can't be used.
    """
    path = environment.get(variable)
    if not path:
        return None
    found = ask(Path(path))
    if found is None:
        raise SetupError(f"{variable}={path} doesn't run as a complete CPython: name another interpreter, or unset it")
    if found.minor not in versions:
        raise SetupError(f"{variable}={path} is {found}; needed: {spell(versions)}")
    return found


def candidates(versions: Sequence[Version], environment: Mapping[str, str]) -> Iterator[Path]:
    """Every file that may be one of ``versions``, likeliest first; existing files, not yet run."""
    folders = [Path(entry) for entry in environment.get("PATH", "").split(os.pathsep) if entry]
    names = ["python3", *(f"python{major}.{minor}" for major, minor in versions), "python"]
    for name in names:
        for folder in folders:
            if _runnable(folder / name):
                yield folder / name
    for pattern, roots in (("{}.{}.*", _pyenv_versions(folders, environment)), ("cpython-{}.{}.*", _uv(environment))):
        for major, minor in versions:
            for root in roots:
                for home in sorted(root.glob(pattern.format(major, minor)), key=_by_number, reverse=True):
                    python = home / "bin" / f"python{major}.{minor}"
                    if _runnable(python):
                        yield python


def spell(versions: Sequence[Version]) -> str:
    """``versions`` in words: "Python 3.12 or 3.13"."""
    return "Python " + " or ".join(f"{major}.{minor}" for major, minor in versions)


def _runnable(file: Path) -> bool:
    return file.is_file() and os.access(file, os.X_OK)


def _by_number(folder: Path) -> list[int]:
    return [int(part) for part in "".join(c if c.isdigit() else " " for c in folder.name).split()]


def _homes(environment: Mapping[str, str]) -> list[Path]:
    named = [Path(environment["HOME"])] if environment.get("HOME") else []
    try:
        return [*named, Path(pwd.getpwuid(os.getuid()).pw_dir)]
    except KeyError:
        return named


def _pyenv_versions(folders: Sequence[Path], environment: Mapping[str, str]) -> list[Path]:
    roots = [Path(environment["PYENV_ROOT"])] if environment.get("PYENV_ROOT") else []
    roots += [home / ".pyenv" for home in _homes(environment)]
    roots += [folder.parent for folder in folders if folder.name == "shims"]
    return [root / "versions" for root in roots]


def _uv(environment: Mapping[str, str]) -> list[Path]:
    roots = [Path(environment["UV_PYTHON_INSTALL_DIR"])] if environment.get("UV_PYTHON_INSTALL_DIR") else []
    roots += [Path(environment["XDG_DATA_HOME"]) / "uv" / "python"] if environment.get("XDG_DATA_HOME") else []
    roots += [home / ".local" / "share" / "uv" / "python" for home in _homes(environment)]
    return roots
