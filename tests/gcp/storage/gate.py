"""What stands before every call of Cloud Storage: token, note, fault, permission."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.gcp.calls import HttpRequest
from tests.gcp.faults import Kind
from tests.gcp.identity import UnauthenticatedError
from tests.gcp.storage import batch
from tests.gcp.storage.api import ApiCall, identify
from tests.gcp.storage.http import Request, Response, StorageError
from tests.gcp.storage.objects import Objects
from tests.gcp.storage.writes import denied

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud


class DroppedError(Exception):
    """The connection ends without an answer."""


class Gate:
    """``wait_for_client(seconds)`` of each call: returns after so long (None: no end), or when the client has gone."""

    def __init__(self, cloud: LoopbackCloud, objects: Objects) -> None:
        self._cloud, self._objects = cloud, objects

    def answer(self, request: Request, wait_for_client: Callable[[float | None], None]) -> Response:
        """The answer to one request. Raises DroppedError."""
        if request.path == batch.PATH:
            try:
                return batch.perform(request, lambda inner: self._one(inner, wait_for_client))
            except StorageError as error:
                return error.response()
        return self._one(request, wait_for_client)

    def _one(self, request: Request, wait_for_client: Callable[[float | None], None]) -> Response:
        try:
            asked = identify(request)
        except StorageError as error:
            return error.response()
        about = HttpRequest(request.verb, request.host, request.path, request.query, _kept(request))
        principal, failure = "", None
        try:
            principal = self._principal(asked, request)
        except UnauthenticatedError as error:
            failure = StorageError(401, "authError", str(error))
        call = self._cloud.calls.begin(asked.method, principal, about, {})
        call.permission = asked.permission
        fault = self._cloud.faults.take(asked.method) if failure is None else None
        call.fault = fault.kind.name if fault else ""
        if self._cloud.latency:
            time.sleep(self._cloud.latency)
        try:
            if failure is not None:
                raise failure
            if fault is not None and fault.kind is Kind.DEADLINE:
                wait_for_client(None)
                self._cloud.calls.end(call, "DEADLINE_EXCEEDED")
                raise DroppedError
            if fault is not None and fault.kind is Kind.SLOW:
                wait_for_client(fault.seconds)
            elif fault is not None and fault.kind is not Kind.DROPPED:
                raise _refusal(fault.kind, asked, principal)
            if not self._cloud.permissions.allows(principal, asked.permission):
                raise denied(principal, asked.permission)
            response = self._objects.perform(asked, request, principal)
        except StorageError as error:
            self._cloud.calls.end(call, str(error.status), error.message)
            return error.response()
        if fault is not None and fault.kind is Kind.DROPPED:
            self._cloud.calls.end(call, "DROPPED")
            raise DroppedError
        self._cloud.calls.end(call, "OK" if response.status < 300 else str(response.status))
        return response

    def _principal(self, asked: ApiCall, request: Request) -> str:
        given = request.headers.get("authorization", "")
        if not given and asked.method.startswith("storage.objects.insert."):
            return ""
        return self._cloud.identity.principal(given)


def _kept(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name != "authorization"}


def _refusal(kind: Kind, asked: ApiCall, principal: str) -> StorageError:
    if kind is Kind.PERMISSION_DENIED:
        return denied(principal, asked.permission or "storage.objects.create")
    return {
        Kind.UNAVAILABLE: StorageError(503, "backendError", "We encountered an internal error. Please try again."),
        Kind.INVALID_ARGUMENT: StorageError(400, "invalid", "Invalid argument."),
        Kind.RATE_LIMIT: StorageError(
            429,
            "rateLimitExceeded",
            f"The object {asked.bucket}/{asked.to_name or asked.name} exceeded the rate limit for object mutation "
            "operations (create, update, and delete). Please reduce your request rate. "
            "See https://cloud.google.com/storage/docs/gcs429.",
        ),
        Kind.QUOTA: StorageError(429, "quotaExceeded", "The quota of this project has been exceeded."),
    }[kind]
