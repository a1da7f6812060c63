"""The three ways in which content arrives: media, multipart, resumable.

https://cloud.google.com/storage/docs/uploads-downloads
"""

from __future__ import annotations

import json
import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, RLock
from typing import IO, Any

from tests.gcp.storage.http import Request, Response, StorageError

_CHUNK = 1 << 18
_IN_MEMORY = 1 << 20
_CONTENT_RANGE = re.compile(r"^bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)$")


@dataclass(frozen=True)
class Content:
    """``size`` bytes of a temporary file, from ``start``."""

    file: IO[bytes]
    start: int
    size: int

    def chunks(self) -> Iterator[bytes]:
        """The bytes, once more each time."""
        self.file.seek(self.start)
        left = self.size
        while left and (data := self.file.read(min(_CHUNK, left))):
            left -= len(data)
            yield data


def receive(request: Request, folder: Path) -> tuple[dict[str, Any], Content]:
    """Metadata and content of a media or multipart upload. Raises StorageError for a body that is neither."""
    file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(folder))  # noqa: SIM115 - its end is the last reference's
    while data := request.body.read(_CHUNK):
        file.write(data)
    size = file.tell()
    content_type = request.headers.get("content-type", "")
    if request.query.get("uploadType") != "multipart":
        return ({"contentType": content_type} if content_type else {}), Content(file, 0, size)
    match = re.search(r'boundary="?([^";]+)"?', content_type)
    if match is None:
        raise StorageError(400, "badRequest", "Missing boundary in a multipart upload")
    return _parts(file, size, match[1].encode())


def _parts(file: IO[bytes], size: int, boundary: bytes) -> tuple[dict[str, Any], Content]:
    file.seek(0)
    head = file.read(min(size, _IN_MEMORY))
    tail_at = max(0, size - 2 * len(boundary) - 64)
    file.seek(tail_at)
    end = file.read().rfind(b"--" + boundary + b"--")
    first = re.match(rb"(?:\r?\n)*--" + re.escape(boundary) + rb"[ \t]*\r?\n(.*?)\r?\n\r?\n", head, re.DOTALL)
    second = first and re.compile(rb"\r?\n--" + re.escape(boundary) + rb"[ \t]*\r?\n((?:[^\r\n]+\r?\n)*)\r?\n").search(
        head, first.end()
    )
    if end < 0 or first is None or second is None:
        raise StorageError(400, "badRequest", "Malformed multipart body.")
    try:
        metadata = json.loads(head[first.end() : second.start()] or b"{}")
    except ValueError as error:
        raise StorageError(400, "parseError", "Parse Error") from error
    given = re.search(rb"(?i)^content-type:\s*([^\r\n]+)", second[1], re.MULTILINE)
    if given is not None:
        metadata.setdefault("contentType", given[1].decode().strip())
    stop = tail_at + end
    file.seek(stop - 2)
    stop -= 2 if file.read(2) == b"\r\n" else 1
    return metadata, Content(file, second.end(), stop - second.end())


@dataclass
class Session:
    """One resumable upload. ``finished``: the answer to its last request, given again when asked."""

    bucket: str
    metadata: dict[str, Any]
    query: Mapping[str, str]
    principal: str
    file: IO[bytes]
    size: int = 0
    finished: Response | None = None
    lock: RLock = field(default_factory=RLock)

    def take(self, request: Request) -> Content | None:
        """Add a request's bytes; the whole content once the last has come. Raises StorageError.

        Bytes that came before are skipped, as after an answer that was lost; bytes after a hole are not taken.
        """
        stated = request.headers.get("content-range")
        if stated is None:
            start, last, total = 0, None, None
            final = True
        else:
            match = _CONTENT_RANGE.match(stated)
            if match is None:
                raise StorageError(400, "badRequest", f"Invalid Content-Range: {stated}")
            total = None if match[3] == "*" else int(match[3])
            if match[1] is None:
                return self._content() if total is not None and total == self.size else None
            start, last = int(match[1]), int(match[2])
            final = total is not None and last + 1 == total
        if start > self.size:
            return None
        self._append(request, start)
        if last is not None and self.size < last + 1:
            return None
        if final:
            return self._content()
        if self.size % _CHUNK:
            self.size -= self.size % _CHUNK
            self.file.truncate(self.size)
            raise StorageError(400, "badRequest", "Chunks but the last are multiples of 256 KiB (262144 bytes).")
        return None

    def _append(self, request: Request, start: int) -> None:
        skip = self.size - start
        self.file.seek(self.size)
        while data := request.body.read(_CHUNK):
            fresh = data[skip:]
            skip = max(0, skip - len(data))
            self.file.write(fresh)
            self.size += len(fresh)

    def _content(self) -> Content:
        return Content(self.file, 0, self.size)

    def incomplete(self) -> Response:
        """How much is there: 308, with a range unless it is nothing."""
        return Response(308, headers={"Range": f"bytes=0-{self.size - 1}"} if self.size else {})


class Sessions:
    """The resumable uploads in progress, and those that ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._sessions: dict[str, Session] = {}

    def begin(self, bucket: str, metadata: dict[str, Any], query: Mapping[str, str], principal: str) -> str:
        """A new session's id."""
        file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(self._folder))  # noqa: SIM115 - lives as long as the session
        name = secrets.token_urlsafe(48)
        with self._lock:
            self._sessions[name] = Session(bucket, metadata, query, principal, file)
        return name

    def find(self, name: str) -> Session:
        """A session. Raises StorageError."""
        with self._lock:
            session = self._sessions.get(name)
        if session is None:
            raise StorageError(404, "notFound", "No such upload session.")
        return session

    def cancel(self, name: str) -> Response:
        """Forget a session: 499, as Cloud Storage answers."""
        self.find(name)
        with self._lock:
            del self._sessions[name]
        return Response(499)
