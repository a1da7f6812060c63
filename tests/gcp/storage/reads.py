"""The calls that read objects."""

from __future__ import annotations

from tests.gcp.storage import conditions, listing
from tests.gcp.storage.api import ApiCall
from tests.gcp.storage.http import Request, Response, json_response
from tests.gcp.storage.records import Records
from tests.gcp.storage.upstream import Upstream, object_path

_PASSED_ON = (
    "Content-Type",
    "Content-Range",
    "Content-Encoding",
    "Cache-Control",
    "Content-Disposition",
    "Last-Modified",
)


class Reads:
    """Metadata, content, listings."""

    def __init__(self, upstream: Upstream, records: Records) -> None:
        self._upstream, self._records = upstream, records

    def get(self, call: ApiCall, request: Request, principal: str) -> Response:
        with self._records.locked((call.bucket, call.name)):
            record = self._records.require(call.bucket, call.name, request.query.get("generation"))
            conditions.check(record, request.query, reads=True)
            if not call.media:
                return json_response(self._records.shown(record, request.base))
            # Once the answer has begun, its content is that of one generation, whatever is written meanwhile.
            headers = {"Range": request.headers["range"]} if "range" in request.headers else {}
            path = object_path(call.bucket, call.name, "/download/storage/v1", alt="media")
            answer = self._upstream.open("GET", path, headers=headers)
        hashes = [f"crc32c={record['crc32c']}"] + [f"md5={record['md5Hash']}"] * ("md5Hash" in record)
        known = {name: value for name in _PASSED_ON if (value := answer.headers.get(name))} | {
            "Accept-Ranges": "bytes",
            "ETag": f'"{record["etag"]}"',
            "X-Goog-Generation": record["generation"],
            "X-Goog-Metageneration": record["metageneration"],
            "X-Goog-Hash": ",".join(hashes),
            "X-Goog-Storage-Class": record.get("storageClass", "STANDARD"),
            "X-Goog-Stored-Content-Encoding": record.get("contentEncoding") or "identity",
            "X-Goog-Stored-Content-Length": record["size"],
        }
        length = int(answer.headers.get("Content-Length") or 0)
        return Response(answer.status, self._upstream.chunks(answer), known, length)

    def list(self, call: ApiCall, request: Request, principal: str) -> Response:
        items, prefixes, token = listing.page(self._upstream, call.bucket, request.query)
        document: dict[str, object] = {"kind": "storage#objects"}
        if token:
            document["nextPageToken"] = token
        if prefixes:
            document["prefixes"] = prefixes
        if items:
            document["items"] = [self._records.listed(item, request.base) for item in items]
        return json_response(document)
