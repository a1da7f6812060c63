"""The folder of one run of the ci_cd DAG, and what is kept in it about its checkout.

``source/`` is the checkout. Beside it: ``checkout.json`` (which revision, made when), ``tree`` (its files as git lists
them), and ``changed-<previous>-<revision>.json`` (the paths that changed, null if nobody knows).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.errors import StorageError
from ml.home import home
from ml.names import check_pipeline_name, safe_id
from respan.git.tree import Entry, parse_entry

#: Workspaces that no step has used for so long are deleted: their run was killed, or its clean-up.
STALE_SECONDS = 7 * 24 * 60 * 60

_REMOVED = ".removed-"


@dataclass(frozen=True)
class Workspace:
    """The folder ``$RESPAN_HOME/ci_cd/<pipeline>/<safe_id(run_id)>/``."""

    folder: Path

    @classmethod
    def of(cls, pipeline: str, run_id: str) -> Workspace:
        return cls(home() / "ci_cd" / check_pipeline_name(pipeline) / safe_id(run_id))

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process at a time makes or removes workspaces of the pipeline."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with (self.folder.parent / "lock").open("ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def holds(self, revision: str) -> bool:
        """Whether ``source/`` is the checkout of ``revision``, none of whose files was touched since it was made."""
        made = _read(self.folder / "checkout.json")
        if not made or made["revision"] != revision or not self.source.is_dir():
            return False
        return bool(self._last_touched() == made["touched"])

    def publish(self, revision: str, made: Path) -> None:
        """Makes the folder ``made`` (below this one, like ``tree``) the checkout of ``revision``."""
        self.drop()
        touched = self._last_touched(made)
        _write(self.folder / "checkout.json", {"revision": revision, "touched": touched})
        made.rename(self.source)

    def drop(self) -> None:
        """Removes the checkout, if there is one."""
        _remove(self.source, beside=self.folder)

    def entries(self) -> Iterator[Entry]:
        """The checkout's files as git lists them."""
        for record in self.tree.read_bytes().split(b"\0"):
            if record:
                yield parse_entry(record)

    def changed(self, previous: str, revision: str, *, ask: Callable[[], list[str] | None]) -> list[str] | None:
        """What ``ask`` returned when it was called for these two: the paths that changed, None if nobody knows."""
        file = self.changed_file(previous, revision)
        if not file.exists():
            _write(file, ask())
        paths: list[str] | None = _read(file)
        return paths

    def changed_file(self, previous: str, revision: str) -> Path:
        return self.folder / f"changed-{previous}-{revision}.json"

    def remove_leftovers(self) -> None:
        """Deletes what killed runs of the pipeline left: half-made checkouts here, and old workspaces beside."""
        now = time.time()
        for left in self.folder.glob("making-*"):
            _remove(left, beside=self.folder)
        for other in self.folder.parent.iterdir():
            if other.name.startswith(_REMOVED):
                _delete(other)
            # safe_id leaves its own results as they are: only such folders are workspaces.
            elif other != self.folder and safe_id(other.name) == other.name and other.is_dir():
                with contextlib.suppress(FileNotFoundError):
                    if now - other.stat().st_mtime > STALE_SECONDS:
                        _remove(other, beside=other.parent)

    def remove(self) -> None:
        """Removes the workspace, whatever is in it; it is gone at once, also for a second call."""
        _remove(self.folder, beside=self.folder.parent)

    def _last_touched(self, source: Path | None = None) -> int:
        """Time of the last change of any tracked file, content or mode (ctime: nobody can set it back); 0 if one is
        missing. New files beside them, such as a cache's, don't count."""
        root = os.fsencode(source or self.source)
        try:
            return max((os.lstat(root + b"/" + entry.path).st_ctime_ns for entry in self.entries()), default=1)
        except (FileNotFoundError, NotADirectoryError):
            return 0


@contextlib.contextmanager
def told_as_storage_error() -> Iterator[None]:
    """What the operating system refuses below RESPAN_HOME, as a ``StorageError``."""
    try:
        yield
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else home() / "ci_cd"
        raise StorageError(f"can't use {where}: {error.strerror or error}: RESPAN_HOME must have room") from error


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _write(file: Path, document: Any) -> None:
    new = file.with_name(f"{file.name}.new")
    new.write_text(json.dumps(document), "utf-8")
    new.replace(file)


def _remove(path: Path, *, beside: Path) -> None:
    """Renamed first, so that a kill leaves no half of it in its place."""
    aside = beside / f"{_REMOVED}{uuid.uuid4().hex}"
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)
        _delete(aside)


def _delete(folder: Path) -> None:
    """Deletes also folders that code under test made read-only; what can't be deleted is left to the next time."""
    for path, folders, _files in os.walk(folder):
        for name in folders:
            child = Path(path) / name
            if not child.is_symlink():
                with contextlib.suppress(OSError):
                    child.chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)
