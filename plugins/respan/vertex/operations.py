"""Long-running operations of Vertex AI: what uploads and deploys for minutes after the call was answered."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from ml.errors import RemoteError
from respan.vertex.failures import google_errors, told
from respan.vertex.place import Place

#: Seconds that a call may take; what it starts may take longer.
CALL_SECONDS = 60.0

#: So often in a row may a look fail before :func:`wait` gives up.
_MOST_FAILURES = 10
_LONGEST_PAUSE = 300.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Operation:
    """``name`` is its resource name; ``doing`` tells what it does, as in "deploy version 3"."""

    name: str
    doing: str


def find(place: Place, operation: Operation) -> Any:
    """It as a ``google.longrunning.Operation``; None where Google Cloud knows it no more, as of an old one."""
    from google.api_core.exceptions import NotFound

    with google_errors(f"ask what became of the order to {operation.doing}"):
        try:
            return operations_client(place).get_operation({"name": operation.name}, timeout=CALL_SECONDS)
        except NotFound:
            return None


def check(found: Any, operation: Operation) -> None:
    """Raises the ``RespanError`` that tells why ``found``, an operation that has ended, failed.

    A cancelled or forgotten one is no failure: what it was to make tells whether it must be begun again.
    """
    from google.api_core.exceptions import Cancelled, from_grpc_status

    if found is None or not found.HasField("error"):
        return
    error = from_grpc_status(found.error.code, found.error.message)  # type: ignore[no-untyped-call]
    if not isinstance(error, Cancelled):
        raise told(error, operation.doing)


def unfinished(place: Place, resource: str, doing: str) -> Operation | None:
    """An operation on ``resource`` (its name) that is under way, as after a call whose answer was lost."""
    from google.api_core.exceptions import NotFound

    client = operations_client(place)
    request = {"name": resource, "page_token": ""}
    with google_errors(f"list the operations on {resource}"):
        while True:
            try:
                page = client.list_operations(request, timeout=CALL_SECONDS)
            except NotFound:
                return None
            running = [found.name for found in page.operations if not found.done]
            if running:
                return Operation(running[0], doing)
            if not page.next_page_token:
                return None
            request["page_token"] = page.next_page_token


def wait(place: Place, operation: Operation, poll_seconds: float) -> None:
    """Blocks until it has ended, through errors of Google Cloud that pass. Raises as :func:`check` does."""
    failures = 0
    while True:
        try:
            found = find(place, operation)
            failures = 0
        except RemoteError as error:
            failures += 1
            if failures == _MOST_FAILURES:
                raise
            _log.info("%s", error)
        else:
            if found is None or found.done:
                return check(found, operation)
        time.sleep(pause(poll_seconds, failures))


def pause(poll_seconds: float, failures: int) -> float:
    """Seconds until the next look, after so many failed ones in a row."""
    return min(poll_seconds * 2.0**failures, max(poll_seconds, _LONGEST_PAUSE))


def operations_client(place: Place) -> Any:
    """Blocks. Any service of Vertex AI tells of the operations of all of them."""
    from airflow.providers.google.cloud.hooks.vertex_ai.endpoint_service import EndpointServiceHook

    return EndpointServiceHook(gcp_conn_id=place.connection).get_endpoint_service_client(place.region)
