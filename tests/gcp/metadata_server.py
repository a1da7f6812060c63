"""The metadata server of Compute Engine, which tells a container on Vertex AI who it is.

https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.gcp.identity import LIFETIME
from tests.gcp.listener import serving

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud

_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def _answer(cloud: LoopbackCloud, path: str, query: dict[str, list[str]]) -> str | None:
    """The text of an entry; None: there is none."""
    email = cloud.workload_principal
    path = path.rstrip("/")
    account, project = "instance/service-accounts/", "project/"
    if path.startswith(account):
        name, _, entry = path[len(account) :].partition("/")
        if name not in ("default", email):
            return None
        entries = {
            "": json.dumps({"aliases": ["default"], "email": email, "scopes": _SCOPES}),
            "email": email,
            "scopes": "\n".join(_SCOPES),
        }
        if entry == "token":
            token = cloud.identity.issue(email)
            cloud.calls.end(cloud.calls.begin("metadata.token", email, None, {}), "OK")
            return json.dumps({"access_token": token, "expires_in": LIFETIME, "token_type": "Bearer"})
        return entries.get(entry) if entry or "recursive" in query else "email\nscopes\ntoken\n"
    return {
        "": "instance/\nproject/\n",
        f"{project}project-id": cloud.project,
        f"{project}numeric-project-id": cloud.project_number,
        "instance/zone": f"projects/{cloud.project_number}/zones/{cloud.region}-a",
        "instance/region": f"projects/{cloud.project_number}/regions/{cloud.region}",
        "universe/universe-domain": "googleapis.com",
        "instance/service-accounts": f"default/\n{email}/\n",
    }.get(path)


@contextmanager
def metadata_server(cloud: LoopbackCloud) -> Iterator[int]:
    """The port of the server on 127.0.0.1; plain HTTP."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            inside = parts.path.startswith("/computeMetadata/v1")
            if inside and self.headers.get("Metadata-Flavor") != "Google":
                self._send(403, "Missing Metadata-Flavor:Google header.")
                return
            path = parts.path.removeprefix("/computeMetadata/v1").lstrip("/")
            text = _answer(cloud, path, parse_qs(parts.query, keep_blank_values=True))
            self._send(404, "Not Found") if text is None else self._send(200, text)

        def _send(self, status: int, text: str) -> None:
            data = text.encode()
            self.send_response_only(status)
            self.send_header("Metadata-Flavor", "Google")
            self.send_header("Content-Type", "application/json" if text.startswith("{") else "application/text")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with serving(Handler) as port:
        yield port
