"""Long-running operations of Vertex AI: what uploads and deploys for minutes after the call was answered."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from enum import Enum
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


class OperationState(Enum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    #: Cancelled, or forgotten by Google Cloud since it is so old: look at what it was to make.
    GONE = "gone"


def operation_state(place: Place, operation: Operation) -> OperationState:
    """What has become of it. Raises the ``RespanError`` that tells why it failed, or why nobody knows."""
    from google.api_core.exceptions import NotFound

    with google_errors(f"ask what became of the order to {operation.doing}"):
        try:
            found = operations_client(place).get_operation({"name": operation.name}, timeout=CALL_SECONDS)
        except NotFound:
            return OperationState.GONE
    return state_in(found, operation.doing)


def state_in(found: Any, doing: str) -> OperationState:
    """What a ``google.longrunning.Operation`` tells. Raises the ``RespanError`` that tells why it failed."""
    from google.api_core.exceptions import Cancelled, from_grpc_status

    if not found.done:
        return OperationState.RUNNING
    if not found.HasField("error"):
        return OperationState.SUCCEEDED
    error = from_grpc_status(found.error.code, found.error.message)  # type: ignore[no-untyped-call]
    if isinstance(error, Cancelled):
        return OperationState.GONE
    raise told(error, doing)


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
    """Blocks until it has ended, through errors of Google Cloud that pass. Raises as :func:`operation_state` does."""
    failures = 0
    while True:
        try:
            if operation_state(place, operation) is not OperationState.RUNNING:
                return
            failures = 0
        except RemoteError as error:
            failures += 1
            if failures == _MOST_FAILURES:
                raise
            _log.info("%s", error)
        time.sleep(pause(poll_seconds, failures))


def pause(poll_seconds: float, failures: int) -> float:
    """Seconds until the next look, after so many failed ones in a row."""
    return min(poll_seconds * 2.0**failures, max(poll_seconds, _LONGEST_PAUSE))


def operations_client(place: Place) -> Any:
    """Blocks. Any service of Vertex AI tells of the operations of all of them."""
    from airflow.providers.google.cloud.hooks.vertex_ai.endpoint_service import EndpointServiceHook

    return EndpointServiceHook(gcp_conn_id=place.connection).get_endpoint_service_client(place.region)
