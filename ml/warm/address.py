"""Where the warm process of one TFX environment and one ``RESPAN_HOME`` is found."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ml.errors import StorageError
from ml.home import home
from ml.warm.environment import read_at_start

# The length of sockaddr_un.sun_path on Linux, with its final NUL.
_LONGEST_SOCKET_PATH = 108


@dataclass(frozen=True, slots=True)
class Address:
    """A warm process's place: its socket, its lock and its log, named after everything that it can't change any more.

    The name is a digest of the interpreter's path, the state of its installed packages, the variables read at start and
    the source of :mod:`ml.warm`. Whoever runs with something else looks elsewhere, so a stale warm process is never
    asked; it notices by itself that nobody can find it and ends.
    """

    folder: Path
    name: str
    log: Path

    @classmethod
    def of(cls, python: Path, environment: Mapping[str, str]) -> Address:
        """The address for commands run by ``python`` with ``environment``. Creates nothing."""
        prefix = python.absolute().parent.parent
        installed = [prefix / "pyvenv.cfg", *sorted(prefix.glob("lib/python3*/site-packages"))]
        facts = {
            "python": str(python.absolute()),
            "installed": {str(path): path.stat().st_mtime_ns for path in installed if path.exists()},
            "variables": read_at_start(environment),
            "source": [file.read_text("utf-8") for file in sorted(Path(__file__).parent.glob("*.py"))],
        }
        name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        root = home(environment)
        return cls(folder=root / "warm", name=name, log=root / "logs" / "warm.log")

    @classmethod
    def all_in(cls, environment: Mapping[str, str]) -> list[Address]:
        """The addresses of ``RESPAN_HOME`` that have a socket, whether somebody listens there or not."""
        root = home(environment)
        sockets = sorted((root / "warm").glob("*.sock"))
        return [cls(folder=root / "warm", name=file.stem, log=root / "logs" / "warm.log") for file in sockets]

    @property
    def socket_file(self) -> Path:
        return self.folder / f"{self.name}.sock"

    @property
    def lock_file(self) -> Path:
        """Held (``flock``) by the warm process for as long as it listens."""
        return self.folder / f"{self.name}.lock"

    @property
    def start_lock(self) -> Path:
        """Held by the one client that starts the warm process."""
        return self.folder / "start.lock"

    def prepare(self) -> None:
        """Creates the folder, closed to other users. Raises ``StorageError`` where that can't be had."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.folder.lstat()
            if status.st_uid != os.geteuid() or self.folder.is_symlink():
                raise StorageError(f"{self.folder} belongs to somebody else: remove it or choose another RESPAN_HOME")
            if status.st_mode & 0o077:
                self.folder.chmod(0o700)
        except OSError as error:
            raise StorageError(f"can't use {self.folder} for the warm process: {error.strerror or error}") from error

    def hold(self) -> BinaryIO | None:
        """Takes :attr:`lock_file`, noting by whom; None where another process has it. Closing the file releases it."""
        file = self.lock_file.open("a+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        return file

    def holder(self) -> int | None:
        """The process id of the warm process that holds :attr:`lock_file`, or None."""
        try:
            with self.lock_file.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(file.read() or b"0") or None
        except FileNotFoundError:
            pass
        return None

    def connect(self) -> socket.socket | None:
        """A connection to the listening warm process, or None where none listens."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with self._short_path() as path:
                connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        except BaseException:
            connection.close()
            raise
        return connection

    def listen(self) -> socket.socket:
        """A listening socket, in place of whatever a killed warm process left. The caller holds :attr:`lock_file`."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket_file.unlink(missing_ok=True)
        with self._short_path() as path:
            listener.bind(path)
        listener.listen(128)
        return listener

    @contextlib.contextmanager
    def _short_path(self) -> Iterator[str]:
        """The socket's path in a form that fits into a socket address, however deep the folder is."""
        path = str(self.socket_file)
        if len(os.fsencode(path)) < _LONGEST_SOCKET_PATH:
            yield path
            return
        folder = os.open(self.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{folder}/{self.socket_file.name}"
        finally:
            os.close(folder)
