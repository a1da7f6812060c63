"""An HTTP CONNECT proxy that knows Google's hosts by servers on this machine, and refuses every other."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from threading import Lock, Thread
from typing import Any

from tests.gcp.listener import serving

_CHUNK = 1 << 17


class Proxy:
    """``route``: the local port for a host, or None; ``refused_hosts``: what was asked for in vain, in order."""

    def __init__(self, route: Callable[[str], int | None]) -> None:
        self._route = route
        self._lock = Lock()
        self._tunnels: dict[int, socket.socket] = {}
        self.refused_hosts: list[str] = []

    def cut(self, port: int) -> bool:
        """Break the tunnel that reaches its server from local ``port``; False: there is none."""
        with self._lock:
            tunnel = self._tunnels.get(port)
        if tunnel is None:
            return False
        with suppress(OSError):
            tunnel.shutdown(socket.SHUT_RDWR)
        return True

    def connect(self, host: str) -> socket.socket | None:
        """A connection to the server that stands for ``host``; None, and remembered, if none does."""
        port = self._route(host)
        if port is None:
            with self._lock:
                self.refused_hosts.append(host)
            return None
        return socket.create_connection(("127.0.0.1", port))

    def pass_through(self, client: socket.socket, server: socket.socket) -> None:
        """Carry bytes both ways until both sides have ended."""
        port = server.getsockname()[1]
        with self._lock:
            self._tunnels[port] = client
        back = Thread(target=_copy, args=(server, client), name="proxy", daemon=True)
        back.start()
        try:
            _copy(client, server)
        finally:
            back.join()
            with self._lock:
                self._tunnels.pop(port, None)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            # Through a proxy urllib3 sends a body only after its head was acknowledged, which Linux puts off for 40 ms.
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            sink.sendall(data)
    # The end of one side is the end of the tunnel: no client of Google half-closes.
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxying(proxy: Proxy) -> Iterator[int]:
    """The port of the proxy on 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        rbufsize = 0

        def do_CONNECT(self) -> None:
            self.close_connection = True
            server = proxy.connect(self.path.rpartition(":")[0])
            if server is None:
                self.send_error(403, "Not a service of this cloud")
                return
            with server:
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.send_response_only(200, "Connection established")
                self.end_headers()
                proxy.pass_through(self.connection, server)

        def do_GET(self) -> None:
            self.close_connection = True
            proxy.refused_hosts.append(self.headers.get("Host", self.path))
            self.send_error(403, "Only CONNECT is served")

        do_POST = do_PUT = do_HEAD = do_DELETE = do_PATCH = do_OPTIONS = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with serving(Handler) as port:
        yield port
