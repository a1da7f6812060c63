"""Requests and answers, apart from any connection."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Source(Protocol):
    """What a body is read from."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True)
class Request:
    """``path`` is as sent, percent-encoded; ``headers`` have lower-case names; ``base`` is how the client calls us."""

    verb: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Source
    base: str

    def document(self) -> dict[str, Any]:
        """The body as a JSON object; an empty body is an empty one. Raises StorageError."""
        data = self.body.read()
        try:
            found = json.loads(data) if data.strip() else {}
        except ValueError as error:
            raise StorageError(400, "parseError", "Parse Error") from error
        if not isinstance(found, dict):
            raise StorageError(400, "parseError", "Parse Error")
        return found


@dataclass
class Response:
    """``body``: bytes, or a stream of ``length`` bytes that is read once."""

    status: int
    body: bytes | Iterator[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None

    @property
    def size(self) -> int:
        """The length of the body in bytes."""
        if isinstance(self.body, bytes):
            return len(self.body)
        return self.length or 0


class StorageError(Exception):
    """An answer other than success, in Cloud Storage's words."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    def response(self) -> Response:
        """The JSON API's document for it; 304 has no body."""
        if self.status == 304:
            return Response(304)
        problem = {"message": self.message, "domain": "global", "reason": self.reason}
        return json_response(
            {"error": {"code": self.status, "message": self.message, "errors": [problem]}}, self.status
        )


def json_response(document: Any, status: int = 200) -> Response:
    """``document`` as an answer."""
    return Response(status, json.dumps(document).encode(), {"Content-Type": "application/json; charset=UTF-8"})
