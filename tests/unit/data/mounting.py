"""Real file systems for the tests that need a full or a read-only disk."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def mount(*arguments: str) -> None:
    """``mount(8)``; skips the test where this user may not."""
    try:
        subprocess.run(["mount", *arguments], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a file system takes root's rights")


def unmount(folder: str) -> None:
    subprocess.run(["umount", folder], check=True)


@contextmanager
def disk_of_64_kib(folder: Path) -> Iterator[Path]:
    """A file system of 64 KiB, mounted on ``folder``, which is made."""
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder))
    yield folder
    unmount(str(folder))
