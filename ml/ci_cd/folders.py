"""Folders that code under test writes to: how much is in them, and how they are removed whatever it left there."""

from __future__ import annotations

import contextlib
import os
import stat
from itertools import count
from pathlib import Path


def used_bytes(*folders: Path) -> int:
    """The disk space of all files below ``folders``; links are not followed."""
    total = 0
    pending = [str(folder) for folder in folders]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
    return total


def remove(folder: Path) -> None:
    """Removes ``folder`` with all that is in it, of any depth and with any permissions. What can't be removed stays."""
    numbers = count()
    pending = [folder]
    emptied: list[Path] = []
    while pending:
        here = pending.pop()
        emptied.append(here)
        with contextlib.suppress(OSError):
            here.chmod(0o700)
            for entry in list(os.scandir(here)):
                if not entry.is_dir(follow_symlinks=False):
                    _try(os.unlink, entry.path)
                    continue
                # A path can be longer than the system takes, so each folder is moved up before it is emptied.
                up = folder / f".{next(numbers)}"
                _try(os.chmod, entry.path, 0o700)
                if here == folder or _try(os.rename, entry.path, up) is False:
                    up = here / entry.name
                pending.append(up)
    for empty in reversed(emptied):
        _try(os.rmdir, empty)


def read_file(file: Path, most: int) -> bytes | None:
    """What code under test wrote to ``file``, at most ``most`` bytes of it; None where it is missing or no plain
    file."""
    try:
        opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(opened, "rb") as stream:
        return stream.read(most) if stat.S_ISREG(os.fstat(opened).st_mode) else None


def _try(action: object, *arguments: object) -> bool:
    try:
        action(*arguments)  # type: ignore[operator]
    except OSError:
        return False
    return True
