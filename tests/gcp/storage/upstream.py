"""The connection to fake-gcs-server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from http.client import HTTPConnection, HTTPResponse
from threading import Lock, local
from typing import Any
from urllib.parse import quote, urlencode

from tests.gcp.storage.http import StorageError

_CHUNK = 1 << 18


class Upstream:
    """One kept connection for each thread. Thread-safe."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._mine = local()
        self._lock = Lock()
        self._all: list[HTTPConnection] = []

    def close(self) -> None:
        """Close every thread's connection."""
        with self._lock:
            for connection in self._all:
                connection.close()

    def open(
        self, verb: str, path: str, body: bytes | Iterable[bytes] = b"", headers: Mapping[str, str] | None = None
    ) -> HTTPResponse:
        """The answer, whose body the caller reads to its end, or else calls ``forget``."""
        connection: HTTPConnection | None = getattr(self._mine, "connection", None)
        if connection is None:
            connection = self._mine.connection = HTTPConnection("127.0.0.1", self._port)
            with self._lock:
                self._all.append(connection)
        try:
            connection.request(verb, path, body, dict(headers or {}))
            return connection.getresponse()
        except BaseException:
            self.forget()
            raise

    def forget(self) -> None:
        """Close this thread's connection: something unread is on it."""
        self._mine.connection.close()

    def chunks(self, answer: HTTPResponse) -> Iterator[bytes]:
        """The rest of a body, as it comes."""
        try:
            while data := answer.read(_CHUNK):
                yield data
        finally:
            if not answer.isclosed():
                self.forget()

    def document(self, verb: str, path: str, document: Any = None) -> tuple[int, dict[str, Any]]:
        """Status and document of a small exchange."""
        body = b"" if document is None else json.dumps(document).encode()
        answer = self.open(verb, path, body, {"Content-Type": "application/json"} if body else {})
        data = answer.read()
        try:
            found = json.loads(data)
        except ValueError:
            found = None
        return answer.status, found if isinstance(found, dict) else {}


def object_path(bucket: str, name: str, prefix: str = "/storage/v1", **query: str) -> str:
    """The address of an object in the JSON API."""
    path = f"{prefix}/b/{quote(bucket, safe='')}/o/{quote(name, safe='')}"
    return f"{path}?{urlencode(query)}" if query else path


def expect(status: int, document: Mapping[str, Any], bucket: str) -> None:
    """Raise StorageError for an answer of fake-gcs-server that is no success."""
    if status == 404:
        raise StorageError(404, "notFound", f"The specified bucket does not exist: {bucket}")
    if status >= 300:
        message = document.get("error", {}).get("message", "Backend Error")
        raise StorageError(status, "backendError" if status >= 500 else "invalid", str(message))
