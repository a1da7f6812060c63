"""Storage in a local (or mounted) folder.

Atomicity comes from POSIX: an object is written beside its place and renamed into it; ``link`` fails where the name
exists already; conditional replacement is serialised by ``flock`` on one lock file per root. Temporary files live in
``.respan-tmp`` at the top of the root, which no listing shows.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ml.errors import ConflictError, NotFoundError, StorageError
from ml.storage import ABSENT, ObjectInfo

TEMPORARY = ".respan-tmp"


class LocalStorage:
    """A folder as a storage. See :class:`ml.storage.Storage` for what each method promises."""

    def __init__(self, folder: Path, *, top: Path | None = None) -> None:
        self._folder = folder
        self._top = top or folder

    @property
    def root(self) -> str:
        return f"file://{self._folder}"

    def child(self, prefix: str) -> LocalStorage:
        return LocalStorage(self._path(prefix), top=self._top)

    def uri(self, name: str = "") -> str:
        return str(self._path(name))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        pending = [self._path(prefix)]
        while pending:
            folder = pending.pop()
            with self._told_as_storage_error("list", folder), contextlib.suppress(FileNotFoundError):
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.name == TEMPORARY:
                            continue
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(Path(entry.path))
                            continue
                        with contextlib.suppress(FileNotFoundError):
                            yield self._info(Path(entry.path), entry.stat(follow_symlinks=False))

    def folders(self, prefix: str = "") -> list[str]:
        folder = self._path(prefix)
        with self._told_as_storage_error("list", folder):
            try:
                with os.scandir(folder) as entries:
                    return sorted(e.name for e in entries if e.is_dir(follow_symlinks=False) and e.name != TEMPORARY)
            except FileNotFoundError:
                return []

    def stat(self, name: str) -> ObjectInfo:
        path = self._path(name)
        with self._told_as_storage_error("look at", path):
            status = path.lstat()
            if stat.S_ISDIR(status.st_mode):
                raise FileNotFoundError(path)
            return self._info(path, status)

    def exists(self, name: str) -> bool:
        try:
            self.stat(name)
        except NotFoundError:
            return False
        return True

    def read(self, name: str, *, generation: str | None = None) -> bytes:
        with self.open(name) as stream:
            if generation is not None and _generation(os.fstat(stream.fileno())) != generation:
                raise NotFoundError(f"{self._path(name)} was replaced since it was listed")
            with self._told_as_storage_error("read", self._path(name)):
                return stream.read()

    def open(self, name: str) -> BinaryIO:
        path = self._path(name)
        with self._told_as_storage_error("read", path):
            # O_NOFOLLOW: a link that somebody dropped into the inbox must not lead out of it.
            return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")

    def write(self, name: str, data: bytes, *, if_generation: str | None = None) -> ObjectInfo:
        def fill(temporary: Path) -> None:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())

        return self._put(name, fill, if_generation)

    def upload(self, local: Path, name: str, *, if_generation: str | None = None) -> ObjectInfo:
        return self._put(name, lambda temporary: _copy_durably(local, temporary), if_generation)

    def move(self, source: str, target: str, *, generation: str | None = None) -> ObjectInfo:
        here, there = self._path(source), self._path(target)
        with self._told_as_storage_error("move", here):
            if generation is not None and _generation(here.lstat()) != generation:
                raise NotFoundError(f"{here} was replaced since it was listed")
            there.parent.mkdir(parents=True, exist_ok=True)
            # link + unlink rather than rename: rename would overwrite. A crash between the two leaves one file under
            # two names; the second call finds both to be the same file and finishes.
            try:
                os.link(here, there, follow_symlinks=False)
            except FileExistsError:
                if not _same_file(here, there):
                    raise ConflictError(f"{there} exists already; {here} was left in place") from None
            here.unlink()
            return self._info(there, there.lstat())

    def delete(self, name: str, *, if_generation: str | None = None) -> None:
        path = self._path(name)
        with self._told_as_storage_error("delete", path), self._lock():
            if if_generation is not None and _generation(path.lstat()) != if_generation:
                raise ConflictError(f"{path} was changed by somebody else")
            path.unlink()

    def delete_tree(self, prefix: str) -> None:
        folder = self._path(prefix)
        with self._told_as_storage_error("delete", folder), contextlib.suppress(FileNotFoundError):
            doomed = self._temporary()
            os.rename(folder, doomed)
            shutil.rmtree(doomed)

    def publish(self, local: Path, prefix: str, *, marker: str) -> None:
        target = self._path(prefix)
        if not (local / marker).is_file():
            raise FileNotFoundError(local / marker)
        with self._told_as_storage_error("publish", target):
            staging = self._temporary()
            try:
                shutil.copytree(local, staging, copy_function=_copy_durably)
                target.parent.mkdir(parents=True, exist_ok=True)
                with self._lock():
                    if (target / marker).exists():
                        raise ConflictError(f"{target} is published already")
                    if target.exists():
                        shutil.rmtree(target)
                    os.rename(staging, target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    def _put(self, name: str, fill: Callable[[Path], None], if_generation: str | None) -> ObjectInfo:
        path = self._path(name)
        with self._told_as_storage_error("write", path):
            temporary = self._temporary()
            try:
                fill(temporary)
                path.parent.mkdir(parents=True, exist_ok=True)
                if if_generation is None:
                    os.replace(temporary, path)
                elif if_generation == ABSENT:
                    try:
                        os.link(temporary, path)
                    except FileExistsError:
                        raise ConflictError(f"{path} exists already") from None
                else:
                    with self._lock():
                        if not path.exists() or _generation(path.lstat()) != if_generation:
                            raise ConflictError(f"{path} was changed by somebody else")
                        os.replace(temporary, path)
                return self._info(path, path.lstat())
            finally:
                temporary.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        parts = name.split("/") if name else []
        if any(part in ("", ".", "..", TEMPORARY) or "\0" in part for part in parts):
            raise NotFoundError(f"{name!r} is not a name below {self._folder}")
        return self._folder.joinpath(*parts)

    def _info(self, path: Path, status: os.stat_result) -> ObjectInfo:
        return ObjectInfo(path.relative_to(self._folder).as_posix(), status.st_size, _generation(status))

    def _temporary(self) -> Path:
        folder = self._top / TEMPORARY
        folder.mkdir(parents=True, exist_ok=True)
        return folder / uuid.uuid4().hex

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        folder = self._top / TEMPORARY
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _told_as_storage_error(self, action: str, path: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise NotFoundError(f"{error.filename or path} is not there") from error
        except OSError as error:
            remedy = {
                errno.ENOSPC: "the disk is full: free space, then retry",
                errno.EROFS: "the file system is read-only: mount it writable, then retry",
                errno.EACCES: "permission denied: give this user access, then retry",
                errno.EPERM: "permission denied: give this user access, then retry",
                errno.ELOOP: "it is a symbolic link, which storage never follows",
            }.get(error.errno or 0, error.strerror or str(error))
            raise StorageError(f"can't {action} {path}: {remedy}") from error


def _generation(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"


def _same_file(one: Path, other: Path) -> bool:
    return os.path.samestat(one.lstat(), other.lstat())


def _copy_durably(source: str | Path, target: str | Path) -> None:
    with open(source, "rb") as reader, open(target, "wb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
        writer.flush()
        os.fsync(writer.fileno())
