"""Removes what the commands leave: caches in the project, and the state in ``$RESPAN_HOME``."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from scripts.setup.build import only_one, remove
from scripts.setup.failure import SetupError
from scripts.setup.steps import say

#: Everything that Respan's commands write below RESPAN_HOME, but for the environments. Nothing else is touched there.
STATE = ("airflow", "bench", "cache", "demo", "locks", "logs", "metadata", "storage", "warm")
CACHES = (".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache")


def clean(project: Path, home: Path, *, environments: bool = False) -> None:
    """Removes state and caches, and the ``environments`` too where that is asked for.

    Only what Respan made goes: folders of known names directly in ``home``. A link is removed, never what it points to.
    Raises ``SetupError`` where ``home`` is no folder of Respan's.
    """
    check_home(project, home)
    if home.is_dir():
        with only_one(home):
            for name in STATE:
                _tell_and_remove(home / name)
            if environments:
                _tell_and_remove(home / "envs")
    for name in CACHES:
        _tell_and_remove(project / name)
    for folder, names, _files in os.walk(project):
        names[:] = [name for name in names if not name.startswith(".") and Path(folder, name) != home]
        if "__pycache__" in names:
            names.remove("__pycache__")
            shutil.rmtree(Path(folder, "__pycache__"))


def check_home(project: Path, home: Path) -> None:
    """Raises ``SetupError`` where removing folders in ``home`` could hit what isn't Respan's."""
    real = home.resolve()
    if real in (Path("/"), Path.home().resolve(), project.resolve(), *project.resolve().parents):
        raise SetupError(f"RESPAN_HOME={home} holds more than Respan's state: nothing was removed")


def _tell_and_remove(path: Path) -> None:
    if path.is_symlink() or path.exists():
        say(f"  removing {path}")
        if path.is_file():
            path.unlink()
        else:
            remove(path)
