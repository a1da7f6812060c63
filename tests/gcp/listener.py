"""HTTP servers that end at once, with all their connections."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any


class _Server(ThreadingHTTPServer):
    """Joins its threads when it closes; TLS begins in a connection's own thread, so none holds up the others."""

    daemon_threads = False
    request_queue_size = 256

    def __init__(self, handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self._tls = tls
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._closing = False

    def server_bind(self) -> None:
        # The inherited one asks DNS for this machine's name.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def finish_request(self, request: Any, client_address: Any) -> None:
        connection: socket.socket = request
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            if self._closing:
                return
            self._open.add(connection)
        try:
            if self._tls is None:
                super().finish_request(connection, client_address)
                return
            # Not detached from the plain socket's life: closing that one ends both.
            with suppress(OSError), self._tls.wrap_socket(_copy(connection), server_side=True) as secure:
                super().finish_request(secure, client_address)
        finally:
            with self._lock:
                self._open.discard(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        import sys

        if not isinstance(sys.exception(), (OSError, ValueError)):
            super().handle_error(request, client_address)

    def end_connections(self) -> None:
        with self._lock:
            self._closing = True
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def _copy(connection: socket.socket) -> socket.socket:
    return connection.dup()


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a server on 127.0.0.1. After the block nothing of it is left, idle connections included."""
    server = _Server(handler, tls)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="listener")
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.end_connections()
        server.server_close()
