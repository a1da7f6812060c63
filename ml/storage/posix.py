"""Files as objects of a storage: what they are, opening them safely, and what a user is told where that fails."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

from ml.errors import NotFoundError, RespanError, StorageError
from ml.storage import ObjectInfo
from ml.storage.file_names import told


def storage_error(action: str, path: Path | str, error: OSError) -> RespanError:
    """What a user is told of ``error``."""
    if isinstance(error, FileNotFoundError):
        return NotFoundError(f"{told(str(error.filename or path))} is not there")
    if isinstance(error, NotADirectoryError):
        if action in ("look at", "read", "delete"):
            return NotFoundError(f"{path} is not there: a part of its path is a file")
        return StorageError(f"can't {action} {path}: a part of its path is a file")
    remedy = {
        errno.ENOSPC: "the disk is full: free space, then retry",
        errno.EDQUOT: "the disk quota is used up: free space, then retry",
        errno.EROFS: "the file system is read-only: mount it writable, then retry",
        errno.EACCES: "permission denied: give this user access, then retry",
        errno.EPERM: "permission denied: give this user access, then retry",
        errno.ELOOP: "it is a symbolic link, which storage never follows",
    }.get(error.errno or 0, error.strerror or str(error))
    return StorageError(f"can't {action} {told(str(path))}: {remedy}")


def open_file(path: str) -> tuple[int, os.stat_result]:
    """A descriptor for reading a regular file, and its status.

    O_NOFOLLOW: a link that somebody dropped into the inbox must not lead out of it. O_NONBLOCK: opening a pipe that
    nobody writes to must not wait for ever.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return descriptor, status
    os.close(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    raise StorageError(f"can't read {path}: it is {irregular(status)}, not a file")


def info_of(name: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(name, status.st_size, generation_of(status), irregular(status))


def irregular(status: os.stat_result) -> str | None:
    if stat.S_ISREG(status.st_mode):
        return None
    kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(status.st_mode), "a device")


def generation_of(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"


def same_file(one: Path, other: Path) -> bool:
    return os.path.samestat(one.lstat(), other.lstat())


def copy_durably(source: str | Path, target: str | Path) -> None:
    with Path(source).open("rb") as reader, Path(target).open("wb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
        writer.flush()
        os.fsync(writer.fileno())
