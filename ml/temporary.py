"""A folder on the local disk for work under way."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ml.errors import StorageError


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder below ``TMPDIR``, gone afterwards.

    What the operating system (or SQLite) refuses meanwhile is a ``StorageError`` that tells how to give it room: a
    storage tells its own refusals itself, so it can only be this folder.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="respan-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    except (OSError, sqlite3.OperationalError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        where = tempfile.gettempdir() if tempfile.tempdir else "TMPDIR"
        raise StorageError(
            f"can't work in the temporary folder {where}: {why}: free space there, or set TMPDIR to another disk"
        ) from error
