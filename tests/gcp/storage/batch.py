"""Several calls in one request.

https://cloud.google.com/storage/docs/batch
"""

from __future__ import annotations

import io
import re
import secrets
from collections.abc import Callable
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from tests.gcp.storage.http import Request, Response, StorageError

PATH = "/batch/storage/v1"
_MOST = 100


def perform(request: Request, perform_one: Callable[[Request], Response]) -> Response:
    """Each call through ``perform_one``, in order. Raises StorageError for a body that holds no calls."""
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + request.body.read())
    parts = list(message.iter_parts()) if message.is_multipart() else []
    if not 0 < len(parts) <= _MOST:
        raise StorageError(400, "badRequest", f"A batch holds 1 to {_MOST} calls.")
    boundary = f"batch_{secrets.token_urlsafe(16)}"
    answers = []
    for part in parts:
        response = perform_one(_request(_content(part), request))
        body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
        identifier = re.sub("^<?", "<response-", str(part.get("Content-ID", "")), count=1)
        headers = response.headers | {"Content-Length": str(len(body))}
        lines = [
            f"--{boundary}",
            "Content-Type: application/http",
            f"Content-ID: {identifier}",
            "",
            f"HTTP/1.1 {response.status} {_phrase(response.status)}",
            *(f"{name}: {value}" for name, value in headers.items()),
            "",
            "",
        ]
        answers.append("\r\n".join(lines).encode() + body + b"\r\n")
    document = b"".join(answers) + f"--{boundary}--\r\n".encode()
    return Response(200, document, {"Content-Type": f"multipart/mixed; boundary={boundary}"})


def _content(part: Message) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase


def _request(data: bytes, outer: Request) -> Request:
    head, _, body = data.replace(b"\r\n", b"\n").partition(b"\n\n")
    first, *lines = head.decode().strip().split("\n")
    verb, target = first.split(" ")[:2]
    parts = urlsplit(target)
    own = dict(line.split(":", 1) for line in lines if ":" in line)
    headers = {"authorization": outer.headers.get("authorization", "")} | {
        name.strip().lower(): value.strip() for name, value in own.items()
    }
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Request(verb, outer.host, parts.path, query, headers, io.BytesIO(body), outer.base)
