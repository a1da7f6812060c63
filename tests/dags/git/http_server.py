"""A git server on loopback: git's own http-backend behind basic authentication, and ways to be a bad one."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path

from tests.loopback import listening


@dataclass
class GitServer:
    """Serves the repositories below ``root``.

    ``login`` (``name:password``) is asked for unless it is empty. ``protocol``: whether the client's wish for version 2
    is heard; old servers don't. ``redirect``: address to send everybody to. ``hold``: requests wait for it.
    """

    root: Path
    login: str = ""
    protocol: bool = True
    redirect: str = ""
    hold: threading.Event | None = None
    url: str = ""
    requests: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def __init__(self, git_server: GitServer, *arguments: object) -> None:
        self._git = git_server
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        given = self.headers.get("Authorization")
        self._git.requests.append(f"{self.command} {self.path}")
        self._git.authorizations.append(given)
        self._git.asked.set()
        if self._git.hold is not None:
            self._git.hold.wait(60)
        wanted = base64.b64encode(self._git.login.encode()).decode()
        if self._git.redirect:
            self.send_response(301)
            self.send_header("Location", self._git.redirect + self.path)
            self.end_headers()
        elif self._git.login and given != f"Basic {wanted}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="tests"')
            self.end_headers()
        else:
            self._backend()

    def do_POST(self) -> None:
        self.do_GET()

    def _backend(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        backend = Path(subprocess.check_output(["git", "--exec-path"], text=True).strip()) / "git-http-backend"
        done = subprocess.run(
            [backend],
            input=body,
            capture_output=True,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self._git.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", "") if self._git.protocol else "",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "CONTENT_LENGTH": str(len(body)),
            },
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving(server: GitServer) -> Iterator[GitServer]:
    """Serves until the end of the block; ``server.url`` is its address, without a slash at the end."""
    with listening(partial(_Handler, server)) as url:
        server.url = url
        yield server
        if server.hold is not None:
            server.hold.set()


@contextlib.contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    """A server that knows nothing of git; yields its address."""
    with listening(partial(_Files, directory=str(folder))) as url:
        yield url
