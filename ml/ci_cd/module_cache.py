"""A revision's modules on this machine: fetched from storage once, checked at each use.

``$RESPAN_HOME/modules/<pipeline>/<revision>/<pipeline>/`` appears at once, complete. ``<revision>`` is a folder of
pipelines like any other (see :func:`ml.home.pipelines_folders`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ml import layout
from ml.ci_cd.modules import MOST_BYTES, MOST_FILES, read_modules
from ml.ci_cd.records import ModuleFile, Modules
from ml.errors import DataError, StorageError
from ml.home import home
from ml.names import check_pipeline_name
from ml.storage import Storage

_NEW = ".new-"


def fetch_modules(storage: Storage, pipeline: str, revision: str) -> Path:
    """The folder of ``pipeline`` at ``revision``, on this machine: just the files that were copied, to the byte.

    What was fetched before is used again; what was changed or damaged here meanwhile is fetched anew. Raises
    ``NotFoundError`` for a revision that was never copied, ``DataError`` for modules that are damaged in storage, and
    ``StorageError`` where there is no room.
    """
    modules = read_modules(storage, revision)
    _check_record(storage, modules, pipeline, revision)
    cache = home() / "modules" / check_pipeline_name(pipeline)
    folder = cache / revision / pipeline
    try:
        with _alone(cache):
            if not _intact(folder, modules):
                _fetch(storage, modules, cache, folder)
    except OSError as error:
        why = error.strerror or error
        raise StorageError(f"can't keep modules in {cache}: {why}: make room, then retry") from error
    return folder


def _check_record(storage: Storage, modules: Modules, pipeline: str, revision: str) -> None:
    """Refuses a record that would lead out of the cache or fill the disk."""
    problem = None
    names = [file.path for file in modules.files]
    if (modules.pipeline, modules.revision) != (pipeline, revision):
        problem = f"they are those of {modules.pipeline} at {modules.revision[:80]}"
    elif len(set(names)) < len(names) or len(names) > MOST_FILES:
        problem = "a file is named twice, or there are too many"
    elif sum(file.size for file in modules.files) > MOST_BYTES:
        problem = f"they are more than {MOST_BYTES >> 20} MiB"
    else:
        unsafe = [name for name in names if not _is_safe(name)]
        if unsafe:
            problem = f"{unsafe[0]!r} is no path in a pipeline's folder"
    if problem:
        raise DataError(f"{storage.uri(layout.modules(revision))}: can't use these modules: {problem}")


def _is_safe(name: str) -> bool:
    parts = name.split("/")
    return name.isprintable() and not any(part.startswith(".") or part in ("", "__pycache__") for part in parts)


@contextlib.contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """The nodes of a run start at the same time: one fetches, the others wait."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _intact(folder: Path, modules: Modules) -> bool:
    """Whether ``folder`` holds just the recorded files. What Python compiled of them doesn't count."""
    if folder.is_symlink():
        return False
    expected = {file.path: file for file in modules.files}
    found = set()
    for file in _walk(folder):
        recorded = expected.get(file.relative_to(folder).as_posix())
        if recorded is None or file.is_symlink() or not _is(file, recorded):
            return False
        found.add(recorded.path)
    return found == set(expected)


def _walk(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)
            elif entry.name != "__pycache__":
                yield from _walk(Path(entry.path))


def _is(file: Path, recorded: ModuleFile) -> bool:
    if not file.is_file() or file.stat().st_size != recorded.size:
        return False
    return hashlib.sha256(file.read_bytes()).hexdigest() == recorded.sha256


def _fetch(storage: Storage, modules: Modules, cache: Path, folder: Path) -> None:
    fresh = cache / f"{_NEW}{uuid.uuid4().hex}"
    try:
        for file in modules.files:
            target = fresh / PurePosixPath(file.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_content(storage, modules.revision, file))
        folder.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(folder):
            folder.rename(cache / f"{_NEW}{uuid.uuid4().hex}-damaged")
        fresh.rename(folder)
    finally:
        _sweep(cache)  # also what a process left that was killed: nobody else is here


def _sweep(cache: Path) -> None:
    for leftover in cache.glob(f"{_NEW}*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _content(storage: Storage, revision: str, file: ModuleFile) -> bytes:
    name = layout.modules(revision, file.path)
    with storage.open(name) as stream:
        content = stream.read(file.size + 1)
    if len(content) != file.size or hashlib.sha256(content).hexdigest() != file.sha256:
        raise DataError(f"{storage.uri(name)} is not what was copied: ship the code again as a new revision")
    return content
