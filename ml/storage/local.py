"""Storage in a local (or mounted) folder.

Atomicity comes from POSIX: an object is written beside its place and renamed into it; ``link`` fails where the name
exists already; conditional replacement is serialised by ``flock`` on one lock file per root. Temporary files live in
``.respan-tmp`` at the top of the root, which no listing shows; what a killed process left there is deleted after a day.

File names that aren't UTF-8 are told as ``ml.storage.file_names`` says.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from ml.errors import ConflictError, NotFoundError
from ml.storage import ABSENT, ObjectInfo
from ml.storage.file_names import on_disk, told
from ml.storage.posix import copy_durably, generation_of, info_of, open_file, same_file, storage_error

TEMPORARY = ".respan-tmp"
_NO_NAMES = {"", ".", ".."}
LOCK = "lock"
STALE_SECONDS = 24 * 60 * 60


class LocalStorage:
    """A folder as a storage. See :class:`ml.storage.Storage` for what each method promises."""

    def __init__(self, folder: Path, *, top: Path | None = None) -> None:
        self._folder = folder
        self._top = top or folder
        self._prefix = str(folder)

    @property
    def root(self) -> str:
        return f"file://{self._folder}"

    def child(self, prefix: str) -> LocalStorage:
        return LocalStorage(self._path(prefix), top=self._top)

    def uri(self, name: str = "") -> str:
        return str(self._path(name))

    def list(self, prefix: str = "", *, without: Collection[str] = ()) -> Iterator[ObjectInfo]:
        pending = [(self._path(prefix), f"{prefix}/" if prefix else "")]
        while pending:
            folder, above = pending.pop()
            with self._told_as_storage_error("list", folder), contextlib.suppress(FileNotFoundError):  # noqa: SIM117
                with os.scandir(folder) as entries:
                    at_top = folder == self._top
                    for entry in entries:
                        if at_top and entry.name == TEMPORARY:
                            continue
                        name = above + told(entry.name)
                        if entry.is_dir(follow_symlinks=False):
                            if name not in without:
                                pending.append((Path(entry.path), f"{name}/"))
                            continue
                        with contextlib.suppress(FileNotFoundError):
                            yield info_of(name, entry.stat(follow_symlinks=False))

    def folders(self, prefix: str = "") -> Sequence[str]:
        folder = self._path(prefix)
        with self._told_as_storage_error("list", folder):
            try:
                with os.scandir(folder) as entries:
                    names = {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
            except FileNotFoundError:
                return []
        return sorted(map(told, names - {TEMPORARY} if folder == self._top else names))

    def stat(self, name: str) -> ObjectInfo:
        path = self._path(name)
        with self._told_as_storage_error("look at", path):
            status = path.lstat()
            if stat.S_ISDIR(status.st_mode):
                raise FileNotFoundError(path)
            return info_of(name, status)

    def exists(self, name: str) -> bool:
        try:
            self.stat(name)
        except NotFoundError:
            return False
        return True

    def read(self, name: str, *, generation: str | None = None) -> bytes:
        path = self._file(name)
        try:
            descriptor, status = open_file(path)
            try:
                data = os.read(descriptor, status.st_size + 1)
                while len(data) != status.st_size and (more := os.read(descriptor, 1 << 20)):
                    data += more  # more than one call returns, or than there was a moment ago
                # After the reading: a writer that changes the file in place meanwhile is noticed as well.
                if generation is not None and generation_of(os.fstat(descriptor)) != generation:
                    raise NotFoundError(f"{path} was replaced since it was listed")
            finally:
                os.close(descriptor)
        except OSError as error:
            raise storage_error("read", path, error) from error
        return data

    def open(self, name: str) -> BinaryIO:
        path = self._file(name)
        try:
            return os.fdopen(open_file(path)[0], "rb")
        except OSError as error:
            raise storage_error("read", path, error) from error

    def write(self, name: str, data: bytes, *, if_generation: str | None = None) -> ObjectInfo:
        def fill(temporary: Path) -> None:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())

        return self._put(name, fill, if_generation)

    def upload(self, local: Path, name: str, *, if_generation: str | None = None) -> ObjectInfo:
        return self._put(name, lambda temporary: copy_durably(local, temporary), if_generation)

    def move(self, source: str, target: str, *, generation: str | None = None) -> ObjectInfo:
        here, there = self._path(source), self._path(target)
        with self._told_as_storage_error("move", here):
            if generation is not None and generation_of(here.lstat()) != generation:
                raise NotFoundError(f"{here} was replaced since it was listed")
            there.parent.mkdir(parents=True, exist_ok=True)
            # link + unlink rather than rename: rename would overwrite. A crash between the two leaves one file under
            # two names; the second call finds both to be the same file and finishes.
            try:
                os.link(here, there, follow_symlinks=False)
            except FileExistsError:
                if not same_file(here, there):
                    raise ConflictError(f"{there} exists already; {here} was left in place") from None
            status = there.lstat()
            if generation is not None and generation_of(status) != generation:
                there.unlink()  # replaced between the look and the link
                raise NotFoundError(f"{here} was replaced since it was listed")
            self._unlink_if(here, status)
            return info_of(target, status)

    def _unlink_if(self, path: Path, expected: os.stat_result) -> None:
        """Unlinks the file that ``expected`` describes, and nothing that took its name in the last microsecond."""
        aside = self._temporary()
        path.rename(aside)
        if not os.path.samestat(aside.lstat(), expected):
            with contextlib.suppress(FileExistsError):
                os.link(aside, path, follow_symlinks=False)
        aside.unlink()

    def delete(self, name: str, *, if_generation: str | None = None) -> None:
        path = self._path(name)
        with self._told_as_storage_error("delete", path), self._lock():
            if if_generation is not None and generation_of(path.lstat()) != if_generation:
                raise ConflictError(f"{path} was changed by somebody else")
            path.unlink()

    def delete_tree(self, prefix: str) -> None:
        folder = self._path(prefix)
        with self._told_as_storage_error("delete", folder), contextlib.suppress(FileNotFoundError):
            doomed = self._temporary()
            folder.rename(doomed)
            shutil.rmtree(doomed)

    def publish(self, local: Path, prefix: str, *, marker: str) -> None:
        target = self._path(prefix)
        if not (local / marker).is_file():
            raise FileNotFoundError(local / marker)
        with self._told_as_storage_error("publish", target):
            self._sweep()
            staging = self._temporary()
            try:
                shutil.copytree(local, staging, copy_function=copy_durably)
                target.parent.mkdir(parents=True, exist_ok=True)
                with self._lock():
                    if (target / marker).exists():
                        raise ConflictError(f"{target} is published already")
                    if target.exists():
                        shutil.rmtree(target)
                    staging.rename(target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    def publish_stored(self, source: str, prefix: str, *, marker: str) -> None:
        folder = self._path(source)
        if not (folder / marker).is_file():
            raise NotFoundError(f"{folder / marker} is not there")
        self.publish(folder, prefix, marker=marker)

    def _put(self, name: str, fill: Callable[[Path], None], if_generation: str | None) -> ObjectInfo:
        path = self._path(name)
        with self._told_as_storage_error("write", path):
            temporary = self._temporary()
            try:
                fill(temporary)
                written = info_of(name, temporary.lstat())  # not later, when somebody may have moved it on already
                path.parent.mkdir(parents=True, exist_ok=True)
                if if_generation is None:
                    temporary.replace(path)
                elif if_generation == ABSENT:
                    try:
                        os.link(temporary, path)
                    except FileExistsError:
                        raise ConflictError(f"{path} exists already") from None
                else:
                    with self._lock():
                        if not path.exists() or generation_of(path.lstat()) != if_generation:
                            raise ConflictError(f"{path} was changed by somebody else")
                        temporary.replace(path)
                return written
            finally:
                temporary.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return Path(self._file(name))

    def _file(self, name: str) -> str:
        """The path as text, which costs a tenth of a ``Path``: what reads a million objects notices."""
        if not name:
            return self._prefix
        parts = name.split("/")
        hidden = parts[0] == TEMPORARY and self._folder == self._top
        if "\0" in name or hidden or not _NO_NAMES.isdisjoint(parts):
            raise NotFoundError(f"{name!r} is not a name below {self._folder}")
        return f"{self._prefix}/{on_disk(name)}"

    def _temporary(self) -> Path:
        folder = self._top / TEMPORARY
        folder.mkdir(parents=True, exist_ok=True)
        return folder / uuid.uuid4().hex

    def _sweep(self) -> None:
        """Deletes what killed processes left in the temporary folder more than a day ago."""
        limit = time.time() - STALE_SECONDS
        with contextlib.suppress(FileNotFoundError), os.scandir(self._top / TEMPORARY) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.name == LOCK or entry.stat(follow_symlinks=False).st_ctime > limit:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path, ignore_errors=True)
                    else:
                        Path(entry.path).unlink()

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        folder = self._top / TEMPORARY
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _told_as_storage_error(self, action: str, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise storage_error(action, path, error) from error
