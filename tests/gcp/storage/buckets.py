"""The calls about buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.gcp.storage.api import ApiCall
from tests.gcp.storage.http import Request, Response, StorageError, json_response
from tests.gcp.storage.upstream import Upstream, expect

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud


class Buckets:
    """Buckets of the project, all in its region."""

    def __init__(self, upstream: Upstream, cloud: LoopbackCloud) -> None:
        self._upstream, self._cloud = upstream, cloud

    def require(self, bucket: str) -> dict[str, Any]:
        """The bucket. Raises StorageError, 404."""
        status, document = self._upstream.document("GET", _path(bucket))
        expect(status, document, bucket)
        return document

    def get(self, call: ApiCall, request: Request, principal: str) -> Response:
        return json_response(self._shown(self.require(call.bucket), request))

    def layout(self, call: ApiCall, request: Request, principal: str) -> Response:
        """Whether folders are real in it, which newer file systems, such as TensorFlow's, ask first. They aren't."""
        self.require(call.bucket)
        return json_response(
            {
                "kind": "storage#storageLayout",
                "bucket": call.bucket,
                "location": self._cloud.region.upper(),
                "locationType": "region",
                "hierarchicalNamespace": {"enabled": False},
            }
        )

    def list(self, call: ApiCall, request: Request, principal: str) -> Response:
        status, document = self._upstream.document("GET", f"/storage/v1/b?project={self._cloud.project}")
        expect(status, document, "")
        found = [self._shown(bucket, request) for bucket in document.get("items") or []]
        prefix = request.query.get("prefix", "")
        return json_response(
            {"kind": "storage#buckets", "items": [bucket for bucket in found if bucket["name"].startswith(prefix)]}
        )

    def insert(self, call: ApiCall, request: Request, principal: str) -> Response:
        wanted = request.document()
        if self._upstream.document("GET", _path(str(wanted.get("name"))))[0] == 200:
            raise StorageError(
                409, "conflict", "Your previous request to create the named bucket succeeded and you already own it."
            )
        status, document = self._upstream.document("POST", f"/storage/v1/b?project={self._cloud.project}", wanted)
        expect(status, document, str(wanted.get("name")))
        return json_response(self._shown(document, request))

    def delete(self, call: ApiCall, request: Request, principal: str) -> Response:
        status, document = self._upstream.document("GET", f"{_path(call.bucket)}/o?maxResults=1")
        expect(status, document, call.bucket)
        if document.get("items"):
            raise StorageError(409, "conflict", "The bucket you tried to delete is not empty.")
        expect(*self._upstream.document("DELETE", _path(call.bucket)), call.bucket)
        return Response(204)

    def patch(self, call: ApiCall, request: Request, principal: str) -> Response:
        status, document = self._upstream.document("PATCH", _path(call.bucket), request.document())
        expect(status, document, call.bucket)
        return json_response(self._shown(document, request))

    def _shown(self, bucket: dict[str, Any], request: Request) -> dict[str, Any]:
        return bucket | {
            "location": self._cloud.region.upper(),
            "projectNumber": self._cloud.project_number,
            "selfLink": f"{request.base}/storage/v1/b/{bucket['name']}",
            "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}},
        }


def _path(bucket: str) -> str:
    return f"/storage/v1/b/{quote(bucket, safe='')}"
