"""The calls that change objects."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import google_crc32c

from tests.gcp.storage import conditions
from tests.gcp.storage.api import ApiCall
from tests.gcp.storage.buckets import Buckets
from tests.gcp.storage.http import Request, Response, StorageError, json_response
from tests.gcp.storage.records import Records
from tests.gcp.storage.uploads import Content, Sessions, receive
from tests.gcp.storage.upstream import Upstream, expect, object_path

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud

_MOST_COMPONENTS = 32


class Writes:
    """Every change of an object happens under its lock, after its preconditions were checked."""

    def __init__(
        self, upstream: Upstream, records: Records, buckets: Buckets, cloud: LoopbackCloud, folder: Path
    ) -> None:
        self._upstream, self._records, self._buckets, self._cloud = upstream, records, buckets, cloud
        self._folder, self._sessions = folder, Sessions(folder)

    def insert(self, call: ApiCall, request: Request, principal: str) -> Response:
        """A whole upload, or the begin of a resumable one."""
        resumable = request.query.get("uploadType") == "resumable"
        if resumable:
            metadata, content = request.document(), None
            if given := request.headers.get("x-upload-content-type"):
                metadata.setdefault("contentType", given)
        else:
            metadata, content = receive(request, self._folder)
        name = str(request.query.get("name") or metadata.get("name") or "")
        if not name or len(name.encode()) > 1024 or "\r" in name or "\n" in name:
            raise StorageError(400, "invalid", f"Invalid object name: {name!r}")
        metadata["name"] = name
        if content is not None:
            return self._store(call.bucket, metadata, content, request, principal)
        self._buckets.require(call.bucket)
        conditions.check(self._records.current(call.bucket, name), request.query)
        session = self._sessions.begin(call.bucket, metadata, request.query, principal)
        query = urlencode({"uploadType": "resumable", "name": name, "upload_id": session})
        location = f"{request.base}/upload/storage/v1/b/{quote(call.bucket, safe='')}/o?{query}"
        return Response(200, headers={"Location": location, "X-GUploader-UploadID": session})

    def chunk(self, call: ApiCall, request: Request, principal: str) -> Response:
        """Bytes for a resumable upload, or the question how many there are."""
        session = self._sessions.find(request.query.get("upload_id", ""))
        with session.lock:
            if session.finished is not None:
                while request.body.read(1 << 18):
                    pass
                return session.finished
            content = session.take(request)
            if content is None:
                return session.incomplete()
            about = Request(request.verb, request.host, request.path, session.query, {}, request.body, request.base)
            session.finished = self._store(session.bucket, session.metadata, content, about, session.principal)
            session.file.close()
            return session.finished

    def cancel(self, call: ApiCall, request: Request, principal: str) -> Response:
        return self._sessions.cancel(request.query.get("upload_id", ""))

    def delete(self, call: ApiCall, request: Request, principal: str) -> Response:
        with self._records.locked((call.bucket, call.name)):
            record = self._records.require(call.bucket, call.name, request.query.get("generation"))
            conditions.check(record, request.query)
            status, document = self._upstream.document("DELETE", object_path(call.bucket, call.name))
            expect(status, document, call.bucket)
        return Response(204)

    def patch(self, call: ApiCall, request: Request, principal: str) -> Response:
        wanted = request.document()
        with self._records.locked((call.bucket, call.name)):
            record = self._records.require(call.bucket, call.name, request.query.get("generation"))
            conditions.check(record, request.query)
            status, document = self._upstream.document(request.verb, object_path(call.bucket, call.name), wanted)
            expect(status, document, call.bucket)
            self._records.changed(record)
            return self._answer(call.bucket, call.name, request)

    def rewrite(self, call: ApiCall, request: Request, principal: str) -> Response:
        """A copy, in one step whatever its size."""
        source, target, wanted = (call.bucket, call.name), (call.to_bucket, call.to_name), request.document()
        self._admit(principal, "storage.objects.get")
        with self._records.locked(source, target):
            record = self._records.require(*source, request.query.get("sourceGeneration"))
            conditions.check(record, request.query, kind="Source")
            self._replace(*target, request.query, principal)
            path = f"{object_path(*source)}/rewriteTo/b/{quote(target[0], safe='')}/o/{quote(target[1], safe='')}"
            status, document = self._upstream.document("POST", path, wanted)
            expect(status, document, target[0])
            answer = self._shown(*target, request)
            if components := self._records.is_composed(record):
                self._records.composed(answer, components)
                answer = self._shown(*target, request)
        if call.method == "storage.objects.copy":
            return json_response(answer)
        size = record["size"]
        done = {"totalBytesRewritten": size, "objectSize": size, "done": True, "resource": answer}
        return json_response({"kind": "storage#rewriteResponse", **done})

    def compose(self, call: ApiCall, request: Request, principal: str) -> Response:
        wanted = request.document()
        sources = wanted.get("sourceObjects") or []
        if not 0 < len(sources) <= _MOST_COMPONENTS:
            raise StorageError(400, "invalid", f"The number of source components must be 1 to {_MOST_COMPONENTS}.")
        self._admit(principal, "storage.objects.get")
        with self._records.locked((call.bucket, call.name), *((call.bucket, source["name"]) for source in sources)):
            count = 0
            for source in sources:
                record = self._records.require(call.bucket, source["name"], source.get("generation"))
                conditions.check(record, source.get("objectPreconditions", {}))
                count += self._records.is_composed(record) or 1
            self._replace(call.bucket, call.name, request.query, principal)
            path = f"{object_path(call.bucket, call.name)}/compose"
            status, document = self._upstream.document("POST", path, wanted)
            expect(status, document, call.bucket)
            self._records.composed(self._records.require(call.bucket, call.name), count)
            return self._answer(call.bucket, call.name, request)

    def _store(
        self, bucket: str, metadata: dict[str, Any], content: Content, request: Request, principal: str
    ) -> Response:
        """Put ``content`` in its place. The checksums that came with it must be its own."""
        _verify(metadata, content)
        metadata.setdefault("contentType", "application/octet-stream")
        boundary = secrets.token_hex(16)
        head = (
            f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{json.dumps(metadata)}\r\n"
            f"--{boundary}\r\nContent-Type: {metadata['contentType']}\r\n\r\n"
        ).encode()
        end = f"\r\n--{boundary}--\r\n".encode()

        def body() -> Iterator[bytes]:
            yield head
            yield from content.chunks()
            yield end

        headers = {
            "Content-Type": f"multipart/related; boundary={boundary}",
            "Content-Length": str(len(head) + content.size + len(end)),
        }
        path = f"/upload/storage/v1/b/{quote(bucket, safe='')}/o?uploadType=multipart"
        with self._records.locked((bucket, metadata["name"])):
            self._replace(bucket, metadata["name"], request.query, principal)
            answer = self._upstream.open("POST", path, body(), headers)
            data = answer.read()
            if answer.status != 200:
                expect(answer.status, json.loads(data) if data.startswith(b"{") else {}, bucket)
            return self._answer(bucket, metadata["name"], request)

    def _replace(self, bucket: str, name: str, query: Mapping[str, str], principal: str) -> None:
        """Raise StorageError unless what is at ``name`` may be replaced: its preconditions, and the right to delete."""
        current = self._records.current(bucket, name)
        conditions.check(current, query)
        if current is not None:
            self._admit(principal, "storage.objects.delete")

    def _admit(self, principal: str, permission: str) -> None:
        if principal and not self._cloud.permissions.allows(principal, permission):
            raise denied(principal, permission)

    def _shown(self, bucket: str, name: str, request: Request) -> dict[str, Any]:
        return self._records.shown(self._records.require(bucket, name), request.base)

    def _answer(self, bucket: str, name: str, request: Request) -> Response:
        return json_response(self._shown(bucket, name, request))


def denied(principal: str, permission: str) -> StorageError:
    """403 in Cloud Storage's words."""
    kind = "bucket" if permission.startswith("storage.buckets.") or permission.endswith("list") else "object"
    return StorageError(
        403,
        "forbidden",
        f"{principal} does not have {permission} access to the Google Cloud Storage {kind}. "
        f"Permission '{permission}' denied on resource (or it may not exist).",
    )


def _verify(metadata: Mapping[str, Any], content: Content) -> None:
    if not metadata.get("md5Hash") and not metadata.get("crc32c"):
        return
    md5, crc = hashlib.md5(usedforsecurity=False), google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    for data in content.chunks():
        md5.update(data)
        crc.update(data)  # type: ignore[no-untyped-call]
    crc_digest = crc.digest()  # type: ignore[no-untyped-call]
    for field, digest in (("md5Hash", md5.digest()), ("crc32c", crc_digest)):
        calculated, given = base64.b64encode(digest).decode(), metadata.get(field)
        if given and given != calculated:
            raise StorageError(
                400, "invalid", f'Provided {field} "{given}" doesn\'t match calculated {field} "{calculated}".'
            )
