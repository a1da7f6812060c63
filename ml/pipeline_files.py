"""Which files of a pipeline's folder are its code: what its models depend on, and what a training run is given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def pipeline_files(folder: Path) -> Iterator[Path]:
    """Every entry below ``folder`` that is no folder, in order of its path; links aren't followed into folders.

    Without tests (``*_test.py``), what Python compiled, and what is hidden.
    """
    yield from sorted(_files(folder))


def _files(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith((".", "__pycache__")) or entry.name.endswith(("_test.py", ".pyc")):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            else:
                yield Path(entry.path)
