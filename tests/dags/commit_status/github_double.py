"""GitHub's REST API on loopback, as far as commit statuses need it, below ``/api/v3`` as on an Enterprise Server.

It keeps what was reported, checks tokens, permissions, commits and the limits of each field, answers with GitHub's own
error documents and rate limit headers, and can be told to fail.
https://docs.github.com/en/rest/commits/statuses#create-a-commit-status
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.loopback import listening

_PATH = re.compile(r"^/api/v3/repos/([^/]+/[^/]+)/statuses/([^/]+)$")
_STATES = ("error", "failure", "pending", "success")
_LIMIT = 5000


@dataclass(frozen=True)
class Token:
    """What a token may do: ``repositories`` that it sees, ``may_write`` commit statuses there."""

    repositories: tuple[str, ...]
    may_write: bool = True


@dataclass(frozen=True)
class Fault:
    """What happens instead of the usual answer to one request.

    ``drop``: the connection is closed without an answer; ``acted``: after the status was stored.
    """

    status: int = 500
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    acted: bool = False
    seconds: float = 0.0


UNAVAILABLE = Fault(503, "<html>No server is currently available</html>")
SERVER_ERROR = Fault(500, {"message": "Server Error"})
DROPPED = Fault(drop=True)
DROPPED_AFTER_IT_ACTED = Fault(drop=True, acted=True)
PRIMARY_LIMIT = Fault(403, {"message": "API rate limit exceeded for user ID 1."}, {"x-ratelimit-remaining": "0"})
SECONDARY_LIMIT = Fault(
    403,
    {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."},
    {"retry-after": "3600"},
)
TOO_MANY_REQUESTS = Fault(429, {"message": "Too many requests"}, {"retry-after": "3600"})


class GitHubDouble:
    """``commits``: repository → its commits; ``tokens``; ``statuses``: what was reported, in order; ``faults``: for the
    next requests, one each; ``requests``: how many came."""

    def __init__(self) -> None:
        self.commits: dict[str, set[str]] = {}
        self.tokens: dict[str, Token] = {}
        self.statuses: list[dict[str, Any]] = []
        self.faults: list[Fault] = []
        self.requests = 0
        self.url = ""

    @property
    def api(self) -> str:
        return f"{self.url}/api/v3"

    def remote(self, repository: str) -> str:
        return f"{self.url}/{repository}.git"

    def shown(self, revision: str) -> dict[str, tuple[str, str]]:
        """What people see at a commit: for each context the newest state and description."""
        return {
            status["context"]: (status["state"], status["description"])
            for status in self.statuses
            if status["sha"] == revision
        }

    def answer(self, path: str, authorization: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and document for a POST; stores what it accepts."""
        match = _PATH.match(path)
        if match is None:
            return 404, {"message": "Not Found"}
        repository, sha = match.groups()
        kind, _, name = authorization.partition(" ")
        token = self.tokens.get(name) if kind.lower() in ("token", "bearer") else None
        if token is None:
            return 401, {"message": "Bad credentials"}
        if repository not in token.repositories or repository not in self.commits:
            return 404, {"message": "Not Found"}
        if not token.may_write:
            return 403, {"message": "Resource not accessible by personal access token"}
        if sha not in self.commits[repository]:
            return 422, {"message": f"No commit found for SHA: {sha}"}
        status = json.loads(body)
        if problems := _problems(status):
            errors = [{"resource": "Status", "code": "custom", "message": problem} for problem in problems]
            return 422, {"message": "Validation Failed", "errors": errors}
        self.statuses.append({"target_url": None, "description": None, **status, "sha": sha, "repository": repository})
        return 201, {"id": len(self.statuses), **status}


def _problems(status: dict[str, Any]) -> list[str]:
    found = []
    description = status.get("description") or ""
    if status.get("state") not in _STATES:
        found.append("state is not included in the list")
    if len(description) > 140:
        found.append("description is too long (maximum is 140 characters)")
    if any(character > "\uffff" for character in description):
        found.append("description doesn't accept 4-byte Unicode")
    if not re.match(r"^https?://", status.get("target_url", "http://")):
        found.append("target_url must use http(s) scheme")
    if set(status) - {"state", "description", "target_url", "context"}:
        found.append("unknown field")
    return found


@contextmanager
def github_double() -> Iterator[GitHubDouble]:
    """A double that listens on a free port of 127.0.0.1."""
    double = GitHubDouble()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            double.requests += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fault = double.faults.pop(0) if double.faults else None
            if fault is None or fault.acted:
                status, document = double.answer(self.path, self.headers.get("Authorization", ""), body)
            if fault is None:
                self._send(status, document, {})
                return
            time.sleep(fault.seconds)
            if fault.drop:
                self.close_connection = True
                return
            self._send(fault.status, fault.body, fault.headers)

        def _send(self, status: int, body: Any, headers: dict[str, str]) -> None:
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            kind = "text/html" if isinstance(body, str) else "application/json; charset=utf-8"
            limits = {"x-ratelimit-limit": str(_LIMIT), "x-ratelimit-remaining": str(_LIMIT - double.requests)}
            limits["x-ratelimit-reset"] = str(int(time.time()) + 3600)
            every = {"Content-Type": kind, "Content-Length": str(len(content)), **limits, **headers}
            for name, value in every.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing on the tests' standard error."""

    with listening(Handler) as double.url:
        yield double
