"""Which call of the JSON API a request is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from tests.gcp.storage.http import Request, StorageError

_OBJECT = r"/b/(?P<bucket>[^/]+)/o/(?P<name>[^/]+)"
_COPY = rf"/storage/v1{_OBJECT}/(?P<copy>rewriteTo|copyTo)/b/(?P<to_bucket>[^/]+)/o/(?P<to_name>[^/]+)"
_ROUTES = [
    (re.compile(pattern), calls)
    for pattern, calls in (
        (r"/storage/v1/b", {"GET": "buckets.list", "POST": "buckets.insert"}),
        (
            r"/storage/v1/b/(?P<bucket>[^/]+)",
            {"GET": "buckets.get", "DELETE": "buckets.delete", "PATCH": "buckets.patch"},
        ),
        (r"/storage/v1/b/(?P<bucket>[^/]+)/storageLayout", {"GET": "buckets.getStorageLayout"}),
        (r"/storage/v1/b/(?P<bucket>[^/]+)/o", {"GET": "objects.list"}),
        (
            rf"(?:/download)?/storage/v1{_OBJECT}",
            {"GET": "objects.get", "DELETE": "objects.delete", "PATCH": "objects.patch", "PUT": "objects.update"},
        ),
        (_COPY, {"POST": "objects.rewrite"}),
        (rf"/storage/v1{_OBJECT}/compose", {"POST": "objects.compose"}),
        (
            r"/(?:resumable/)?upload/storage/v1/b/(?P<bucket>[^/]+)/o",
            {"POST": "objects.insert", "PUT": "objects.insert.chunk", "DELETE": "objects.insert.cancel"},
        ),
    )
]
#: TensorFlow reads from here, as the XML API does.
_XML = re.compile(r"/(?P<bucket>[a-z0-9][a-z0-9._-]+)/(?P<name>.+)")
_PERMISSIONS = {
    "storage.objects.insert": "storage.objects.create",
    "storage.objects.rewrite": "storage.objects.create",
    "storage.objects.copy": "storage.objects.create",
    "storage.objects.compose": "storage.objects.create",
    "storage.objects.patch": "storage.objects.update",
    "storage.buckets.patch": "storage.buckets.update",
    "storage.buckets.insert": "storage.buckets.create",
    "storage.buckets.getStorageLayout": "storage.objects.list",
    # The address of a session is its permission.
    "storage.objects.insert.chunk": "",
    "storage.objects.insert.cancel": "",
}


@dataclass(frozen=True)
class ApiCall:
    """``method``: ``"storage.objects.get"`` …; a resumable upload is one ``storage.objects.insert``, and a
    ``storage.objects.insert.chunk`` for each request to its session. ``media``: the content is asked for."""

    method: str
    bucket: str = ""
    name: str = ""
    to_bucket: str = ""
    to_name: str = ""
    media: bool = False

    @property
    def permission(self) -> str:
        """What a principal needs; further ones depend on what is there."""
        return _PERMISSIONS.get(self.method, self.method)


def identify(request: Request) -> ApiCall:
    """The call that ``request`` is. Raises StorageError for one that the API doesn't have."""
    for pattern, calls in _ROUTES:
        match = pattern.fullmatch(request.path)
        if match is None:
            continue
        method = calls.get(request.verb)
        if method is None:
            raise StorageError(405, "methodNotAllowed", f"{request.verb} is not allowed here.")
        parts = {name: unquote(value) for name, value in match.groupdict().items()}
        if parts.pop("copy", None) == "copyTo":
            method = "objects.copy"
        media = method == "objects.get" and request.query.get("alt") == "media"
        return ApiCall(f"storage.{method}", **parts, media=media)
    match = _XML.fullmatch(request.path)
    if match is not None and request.verb == "GET":
        return ApiCall("storage.objects.get", unquote(match["bucket"]), unquote(match["name"]), media=True)
    raise StorageError(404, "notFound", f"Not Found: {request.verb} {request.path}")
