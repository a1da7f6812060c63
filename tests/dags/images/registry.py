"""A container registry on loopback: a double of the remote service.

It keeps blobs and manifests in memory and speaks the part of the OCI distribution protocol that engines need to push
and pull: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md. With a login it asks for HTTP's
basic authentication; ``broken`` makes it answer 503 to everything, and :meth:`Registry.hold` lets uploads wait.
``before_manifest`` is called when an image is about to be there.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_BLOB = re.compile(r"/v2/(.+)/blobs/(sha256:[0-9a-f]{64})")
_MANIFEST = re.compile(r"/v2/(.+)/manifests/([^/]+)")
_UPLOADS = re.compile(r"/v2/(.+)/blobs/uploads/")
_UPLOAD = re.compile(r"/v2/(.+)/blobs/uploads/(\d+)")


class Registry:
    """What the registry holds. ``address`` is the host and port that an image's name begins with."""

    def __init__(self, login: tuple[str, str] | None = None) -> None:
        self.login = login
        self.broken = False
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}  # digest: media type, content
        self.tags: dict[tuple[str, str], str] = {}  # repository, tag: digest
        self.uploads: dict[str, bytearray] = {}
        self.lock = threading.Lock()
        self.before_manifest: Callable[[], None] = lambda: None
        self.held = threading.Event()
        self._held_part: str | None = None
        self._released = threading.Event()
        held = self

        class Handler(_Handler):
            registry = held

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"

    @contextlib.contextmanager
    def serving(self) -> Iterator[Registry]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def hold(self, part: str) -> None:
        """From now on, PUT requests with ``part`` in their path wait; ``held`` is set when the first has come."""
        self._held_part = part

    def release(self) -> None:
        """What waits is dropped, unanswered; what comes is answered again."""
        self._held_part = None
        self._released.set()

    def wait_if_held(self, path: str) -> bool:
        """Whether this request was held."""
        if self._held_part is None or self._held_part not in path:
            return False
        self.held.set()
        self._released.wait()
        return True

    def tags_of(self, repository: str) -> dict[str, str]:
        """tag → digest."""
        with self.lock:
            return {tag: digest for (name, tag), digest in self.tags.items() if name == repository}

    def labels(self, digest: str) -> dict[str, str]:
        """The labels of the image whose manifest has this digest."""
        manifest = json.loads(self.manifests[digest][1])
        labels: dict[str, str] = json.loads(self.blobs[manifest["config"]["digest"]])["config"]["Labels"]
        return labels


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    registry: Registry

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._handle(self._get)

    do_HEAD = do_GET  # noqa: N815 - http.server's names

    def do_POST(self) -> None:
        self._handle(self._post)

    def do_PATCH(self) -> None:
        self._handle(self._patch)

    def do_PUT(self) -> None:
        if self.registry.wait_if_held(self.path):
            self.close_connection = True
        else:
            self._handle(self._put)

    def _handle(self, answer: Any) -> None:
        self.content = self._body()
        self.url = urlsplit(self.path)
        with self.registry.lock:
            if self.registry.broken:
                self._error(503, "UNAVAILABLE", "out of order")
            elif not self._authorised():
                headers = {"WWW-Authenticate": 'Basic realm="registry"'}
                self._error(401, "UNAUTHORIZED", "authentication required", headers)
            else:
                answer()

    def _authorised(self) -> bool:
        if self.registry.login is None:
            return True
        expected = base64.b64encode(":".join(self.registry.login).encode()).decode()
        return self.headers.get("Authorization") == f"Basic {expected}"

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(content)

    def _get(self) -> None:
        path = self.url.path
        if path in ("/v2/", "/v2"):
            self._send(200, b"{}")
        elif match := _BLOB.fullmatch(path):
            self._send_found(match[2], "application/octet-stream", self.registry.blobs.get(match[2]), "BLOB_UNKNOWN")
        elif match := _MANIFEST.fullmatch(path):
            digest = self.registry.tags.get((match[1], match[2]), match[2])
            kind, content = self.registry.manifests.get(digest, ("", None))
            self._send_found(digest, kind, content, "MANIFEST_UNKNOWN")
        else:
            self._error(404, "NOT_FOUND", path)

    def _send_found(self, digest: str, kind: str, content: bytes | None, unknown: str) -> None:
        if content is None:
            self._error(404, unknown, unknown.lower().replace("_", " "))
        else:
            self._send(200, content, {"Content-Type": kind, "Docker-Content-Digest": digest})

    def _post(self) -> None:
        match = _UPLOADS.fullmatch(self.url.path)
        if match is None:
            return self._error(404, "NOT_FOUND", self.url.path)
        name = str(len(self.registry.uploads))
        self.registry.uploads[name] = bytearray()
        return self._send(202, b"", {"Location": f"/v2/{match[1]}/blobs/uploads/{name}", "Range": "0-0"})

    def _patch(self) -> None:
        match = _UPLOAD.fullmatch(self.url.path)
        if match is None:
            return self._error(404, "BLOB_UPLOAD_UNKNOWN", self.url.path)
        upload = self.registry.uploads[match[2]]
        upload += self.content
        return self._send(202, b"", {"Location": self.url.path, "Range": f"0-{len(upload) - 1}"})

    def _put(self) -> None:
        if match := _UPLOAD.fullmatch(self.url.path):
            content = bytes(self.registry.uploads[match[2]] + self.content)
            digest = parse_qs(self.url.query)["digest"][0]
            if sha256(content) != digest:
                return self._error(400, "DIGEST_INVALID", digest)
            self.registry.blobs[digest] = content
        elif match := _MANIFEST.fullmatch(self.url.path):
            self.registry.before_manifest()
            digest = sha256(self.content)
            self.registry.manifests[digest] = (self.headers["Content-Type"], self.content)
            if not match[2].startswith("sha256:"):
                self.registry.tags[match[1], match[2]] = digest
        else:
            return self._error(404, "NOT_FOUND", self.url.path)
        return self._send(201, b"", {"Location": self.url.path, "Docker-Content-Digest": digest})

    def _error(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self._send(status, body, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
