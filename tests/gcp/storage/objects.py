"""Cloud Storage: which part answers which call."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from tests.gcp.storage.api import ApiCall
from tests.gcp.storage.buckets import Buckets
from tests.gcp.storage.fields import select
from tests.gcp.storage.http import Request, Response
from tests.gcp.storage.reads import Reads
from tests.gcp.storage.records import Records
from tests.gcp.storage.upstream import Upstream
from tests.gcp.storage.writes import Writes

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud


class Objects:
    """Buckets and objects, in fake-gcs-server on ``port``. Thread-safe."""

    def __init__(self, port: int, cloud: LoopbackCloud) -> None:
        self._upstream = Upstream(port)
        self._folder = cloud.folder / "uploads"
        records, buckets = Records(self._upstream), Buckets(self._upstream, cloud)
        reads, writes = Reads(self._upstream, records), Writes(self._upstream, records, buckets, cloud, self._folder)
        self._calls: dict[str, Callable[[ApiCall, Request, str], Response]] = {
            "storage.buckets.get": buckets.get,
            "storage.buckets.getStorageLayout": buckets.layout,
            "storage.buckets.list": buckets.list,
            "storage.buckets.insert": buckets.insert,
            "storage.buckets.delete": buckets.delete,
            "storage.buckets.patch": buckets.patch,
            "storage.objects.list": reads.list,
            "storage.objects.get": reads.get,
            "storage.objects.delete": writes.delete,
            "storage.objects.patch": writes.patch,
            "storage.objects.update": writes.patch,
            "storage.objects.rewrite": writes.rewrite,
            "storage.objects.copy": writes.rewrite,
            "storage.objects.compose": writes.compose,
            "storage.objects.insert": writes.insert,
            "storage.objects.insert.chunk": writes.chunk,
            "storage.objects.insert.cancel": writes.cancel,
        }

    def __enter__(self) -> Objects:
        self._folder.mkdir(exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._upstream.close()

    def perform(self, call: ApiCall, request: Request, principal: str) -> Response:
        """Act. ``principal``: empty for calls from inside, which may do everything. Raises StorageError."""
        response = self._calls[call.method](call, request, principal)
        if "fields" in request.query and isinstance(response.body, bytes) and response.body.startswith(b"{"):
            response.body = json.dumps(select(json.loads(response.body), request.query["fields"])).encode()
        return response
