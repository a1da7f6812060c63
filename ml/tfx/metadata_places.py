"""Where a pipeline's ML Metadata store is, and the locks that go with it: a file here, or a database on a server."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2

from ml.home import METADATA_VARIABLE, home, metadata_file


class MetadataPlace(Protocol):
    """A store's address and its locks, which no process outlives: a lock is free when its holder is dead."""

    def connection(self) -> metadata_store_pb2.ConnectionConfig:
        """What ML Metadata opens the store with; it creates the tables that are missing."""

    def prepare(self) -> None:
        """Creates what the tables lie in, where that is missing. Only the holder of a lock calls it."""

    def adapt(self, store: MetadataStore) -> None:
        """Makes up for what the opened store can't do by itself."""

    def lock(self, name: str) -> AbstractContextManager[Any]:
        """A lock of the pipeline that one process holds at a time, wherever the others are; they wait."""


class FileLock(AbstractContextManager["FileLock"]):
    """Held by one process at a time; others wait. The operating system frees it when its holder dies, however."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stream: BufferedWriter | None = None

    def __enter__(self) -> FileLock:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._file.open("ab")
        fcntl.flock(self._stream, fcntl.LOCK_EX)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A store for the processes of one machine."""

    file: Path

    def connection(self) -> metadata_store_pb2.ConnectionConfig:
        config = metadata_store_pb2.ConnectionConfig()
        config.sqlite.filename_uri = str(self.file)
        config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        return config

    def prepare(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)

    def adapt(self, store: MetadataStore) -> None:
        """SQLite's can do all."""

    def lock(self, name: str) -> FileLock:
        return FileLock(home() / "locks" / f"{self.file.stem}.{name}.lock")


def metadata_place(pipeline: str, environment: Mapping[str, str] = os.environ) -> MetadataPlace:
    """The place of the pipeline's store on the local target: a file in ``RESPAN_HOME``, or on the server that
    ``RESPAN_METADATA`` names. Connects to nothing.

    Raises ``SettingsError`` where the variable is no address of a server; the message never holds its value.
    """
    address = environment.get(METADATA_VARIABLE)
    if not address:
        return SqliteFile(metadata_file(pipeline))
    from ml.tfx.metadata_server import server_database

    return server_database(address, pipeline)
