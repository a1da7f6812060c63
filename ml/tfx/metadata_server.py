"""ML Metadata on a PostgreSQL server, for processes on any number of machines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import psycopg
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from psycopg import conninfo, sql

from ml.errors import SettingsError, StorageError
from ml.home import METADATA_VARIABLE
from ml.names import check_pipeline_name
from ml.tfx.metadata_strings import substitute_backslashes

_SCHEMES = ("postgresql://", "postgres://")

#: Seconds to wait for the server's answer to a connection.
_CONNECT_SECONDS = 15

# PostgreSQL cuts longer names off, so that two pipelines could share a database.
_LONGEST_DATABASE = 63

#: The server notices within a minute that a machine which holds a lock is gone. One that was only killed it notices at
#: once, since the machine's kernel ends the connection.
_KEEPALIVE = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"


class ServerLock(AbstractContextManager["ServerLock"]):
    """An advisory lock of PostgreSQL, held for as long as its connection lives; others wait, on any machine.

    Raises ``StorageError`` where the server can't be reached.
    """

    def __init__(self, server: str, name: str) -> None:
        self._server = server
        self._key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        self._connection: psycopg.Connection[Any] | None = None

    def __enter__(self) -> ServerLock:
        with _told():
            try:
                self._connection = _connect(self._server)
                self._connection.execute("SELECT pg_advisory_lock(%s)", [self._key])
            except psycopg.Error:
                self._leave()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass(frozen=True, slots=True)
class ServerDatabase:
    """A store on a PostgreSQL server, for processes on any number of machines.

    Each pipeline has a database of its own, since runs of two pipelines may have the same name. ``server``: where the
    server is, in libpq's words, with the password; the database named there holds nothing but the locks.
    """

    server: str = field(repr=False)
    pipeline: str

    @property
    def name(self) -> str:
        """The database's name."""
        return f"{conninfo.conninfo_to_dict(self.server)['dbname']}_{self.pipeline}"

    def connection(self) -> metadata_store_pb2.ConnectionConfig:
        given = conninfo.conninfo_to_dict(self.server)
        config = metadata_store_pb2.ConnectionConfig()
        postgresql = config.postgresql
        postgresql.host = str(given["host"])
        postgresql.port = str(given.get("port") or 5432)
        postgresql.user = str(given["user"])
        postgresql.password = str(given.get("password") or "")
        postgresql.dbname = self.name
        # It would do so as a member of the database "postgres", which is nobody's but the administrator's.
        postgresql.skip_db_creation = True
        if given.get("sslmode"):
            postgresql.ssloption.sslmode = str(given["sslmode"])
        return config

    def prepare(self) -> None:
        with _told(), _connect(self.server) as connection:
            there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self.name]).fetchone()
            if there is None:
                name = sql.Identifier(self.name)
                connection.execute(sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0").format(name))
                connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))

    def adapt(self, store: MetadataStore) -> None:
        substitute_backslashes(store)

    def lock(self, name: str) -> ServerLock:
        return ServerLock(self.server, f"{self.pipeline}.{name}")


def server_database(address: str, pipeline: str) -> ServerDatabase:
    """The pipeline's store on the server at ``address``, an URL. Connects to nothing.

    Raises ``SettingsError`` where it is no such URL; the message doesn't hold it, since there is a password in it.
    """
    try:
        given = conninfo.conninfo_to_dict(address) if address.startswith(_SCHEMES) else {}
    except psycopg.Error:
        given = {}
    if not (given.get("host") and given.get("user") and given.get("dbname")):
        raise SettingsError(
            f"{METADATA_VARIABLE} is no address of a PostgreSQL server: give postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        )
    database = ServerDatabase(address, check_pipeline_name(pipeline))
    if len(database.name) > _LONGEST_DATABASE:
        raise SettingsError(
            f"{database.name} is too long for a database's name (at most {_LONGEST_DATABASE} characters): shorten the "
            f"database in {METADATA_VARIABLE}"
        )
    return database


def _connect(server: str) -> psycopg.Connection[Any]:
    return psycopg.connect(server, autocommit=True, connect_timeout=_CONNECT_SECONDS, options=_KEEPALIVE)


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the server as one line. libpq's messages name host, user and database, and no password."""
    try:
        yield
    except psycopg.Error as error:
        told = " ".join(str(error).split())
        raise StorageError(f"the metadata server in {METADATA_VARIABLE} refuses: {told}") from None
