"""The HTTPS front, Cloud Storage and the token endpoint; and a door to Cloud Storage for the cloud's own parts."""

from __future__ import annotations

import io
import select
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from tests.gcp.calls import HttpRequest
from tests.gcp.identity import UnauthenticatedError
from tests.gcp.listener import serving
from tests.gcp.storage.api import identify
from tests.gcp.storage.gate import DroppedError, Gate
from tests.gcp.storage.http import Request, Response, StorageError, json_response
from tests.gcp.storage.objects import Objects

if TYPE_CHECKING:
    from tests.gcp.certificates import Certificates
    from tests.gcp.cloud import LoopbackCloud

_TOKEN_PATHS = ("/token", "/oauth2/v4/token", "/o/oauth2/token")
#: Of IAM Credentials: google-auth asks where an account may be used before it first uses it.
_LOCATIONS_PATH = "/allowedLocations"
_Wait = Callable[[float | None], None]


@contextmanager
def https_front(cloud: LoopbackCloud, objects: Objects, certificates: Certificates) -> Iterator[int]:
    """The port of the front, with TLS."""
    gate = Gate(cloud, objects)

    def answer(request: Request, wait: _Wait) -> Response:
        if request.path in _TOKEN_PATHS and request.verb == "POST":
            return _token(cloud, request)
        if request.path.endswith(_LOCATIONS_PATH) and request.verb == "GET":
            return json_response({"locations": [], "encodedLocations": "0x0"})  # no boundary: allowed everywhere
        return gate.answer(request, wait)

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates.chain, certificates.key)
    tls.set_alpn_protocols(["http/1.1"])
    with serving(_handler(answer, "https"), tls) as port:
        yield port


@contextmanager
def internal_front(cloud: LoopbackCloud, objects: Objects) -> Iterator[int]:
    """The port of Cloud Storage without tokens, permissions, faults, latency and notes; without TLS."""

    def answer(request: Request, wait: _Wait) -> Response:
        try:
            return objects.perform(identify(request), request, "")
        except StorageError as error:
            return error.response()

    with serving(_handler(answer, "http")) as port:
        yield port


def _token(cloud: LoopbackCloud, request: Request) -> Response:
    about = HttpRequest(request.verb, request.host, request.path, request.query, {})
    call = cloud.calls.begin("oauth2.token", "", about, {})
    try:
        answer = cloud.identity.exchange(dict(parse_qsl(request.body.read().decode())))
    except UnauthenticatedError as error:
        cloud.calls.end(call, "400", str(error))
        return json_response({"error": "invalid_grant", "error_description": str(error)}, 400)
    call.principal = cloud.identity.principal(f"Bearer {answer['access_token']}")
    cloud.calls.end(call, "OK")
    return json_response(answer)


class _Chunked(io.RawIOBase):
    """The body of a request whose length is not told in advance."""

    def __init__(self, source: io.BufferedIOBase) -> None:
        self._source, self._left, self._ended = source, 0, False

    def read(self, size: int = -1, /) -> bytes:
        found = []
        while size and not self._ended:
            if not self._left:
                self._left = int(self._source.readline().split(b";")[0], 16)
                if not self._left:
                    while self._source.readline() not in (b"\r\n", b"\n", b""):
                        pass
                    self._ended = True
                    break
            data = self._source.read(self._left if size < 0 else min(size, self._left))
            found.append(data)
            self._left -= len(data)
            size -= len(data) if size > 0 else 0
            if not self._left:
                self._source.readline()
        return b"".join(found)


class _Sized(io.RawIOBase):
    """The body of a request of a known length."""

    def __init__(self, source: io.BufferedIOBase, length: int) -> None:
        self._source, self._left = source, length

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(self._left if size < 0 else min(size, self._left))
        if not data and size and self._left:
            raise ConnectionError("the client went away in the middle of a body")
        self._left -= len(data)
        return data


def _handler(answer: Callable[[Request, _Wait], Response], scheme: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16

        def _handle(self) -> None:
            chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
            length = int(self.headers.get("Content-Length") or 0)
            body = _Chunked(self.rfile) if chunked else _Sized(self.rfile, length)
            parts = urlsplit(self.path)
            host = self.headers.get("Host", "")
            request = Request(
                self.command,
                host,
                parts.path,
                dict(parse_qsl(parts.query, keep_blank_values=True)),
                {name.lower(): value for name, value in self.headers.items()},
                body,
                f"{scheme}://{host}",
            )
            try:
                response = answer(request, self._wait_for_client)
            except DroppedError:
                self.close_connection = True
                return
            while body.read(1 << 18):
                pass
            self._send(response)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _handle  # noqa: N815

        def handle_expect_100(self) -> bool:
            """Said at once: curl holds a body back for a second while it waits for this."""
            go_on = super().handle_expect_100()
            self.wfile.flush()
            return go_on

        def _send(self, response: Response) -> None:
            self.send_response_only(response.status)
            self.send_header("Date", self.date_time_string())
            for name, value in response.headers.items():
                self.send_header(name, value)
            if response.status not in (204, 304):
                self.send_header("Content-Length", str(response.size))
            self.end_headers()
            if isinstance(response.body, bytes):
                self.wfile.write(response.body)
            else:
                for data in response.body:
                    self.wfile.write(data)
            self.wfile.flush()

        def _wait_for_client(self, seconds: float | None) -> None:
            """Until then nothing but its end can come from a client that has sent a whole request."""
            end = None if seconds is None else time.monotonic() + seconds
            while end is None or time.monotonic() < end:
                left = 60.0 if end is None else max(0.0, end - time.monotonic())
                readable, _, _ = select.select([self.connection], [], [], left)
                if readable:
                    try:
                        if not self.connection.recv(1):
                            break
                    except (OSError, ValueError):
                        break

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
