"""Names, times, accounts and operations, as all services of Vertex AI have them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timezone
from threading import Event
from typing import TYPE_CHECKING, Any

import grpc
from google.cloud.aiplatform_v1.types import GenericOperationMetadata
from google.longrunning import operations_pb2

from tests.gcp.calls import Call
from tests.gcp.service import Refusal
from tests.gcp.services.scripts import Script

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud


def now() -> datetime:
    return datetime.now(timezone.utc)


def canonical(cloud: LoopbackCloud, name: str) -> str:
    """A resource's name as Vertex AI gives it in answers: with the project's number in place of its id."""
    return re.sub(f"^projects/{re.escape(cloud.project)}/", f"projects/{cloud.project_number}/", name)


def last(name: str) -> str:
    """The id of a resource, the last part of its name."""
    return name.rpartition("/")[2]


def invalid(message: str) -> Refusal:
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> Refusal:
    return Refusal(grpc.StatusCode.NOT_FOUND, message)


def failed_precondition(message: str) -> Refusal:
    return Refusal(grpc.StatusCode.FAILED_PRECONDITION, message)


def check_acting_as(cloud: LoopbackCloud, call: Call, service_account: str) -> None:
    """Who starts something that runs as an account needs ``iam.serviceAccounts.actAs`` on it. Raises Refusal."""
    if service_account and not cloud.permissions.allows(call.principal, "iam.serviceAccounts.actAs"):
        raise Refusal(
            grpc.StatusCode.PERMISSION_DENIED,
            f"You do not have permission to act as service_account: {service_account}. (or it may not exist).",
        )


def operation(
    cloud: LoopbackCloud,
    script: Script,
    resource: str,
    method: str,
    response: type,
    metadata: type,
    work: Callable[[], Any],
    always: Callable[[], None] = lambda: None,
) -> operations_pb2.Operation:
    """Start ``work`` as an operation below ``resource``, which ``script`` may hold or fail as ``"<method> <id>"``.

    ``always`` runs after it, also where it failed or was cancelled.
    """
    cancelled = Event()
    started = now()

    def scripted() -> Any:
        try:
            script.begin(f"{method} {last(resource)}", cancelled)
            return work()
        finally:
            always()

    return cloud.operations.start(
        resource,
        response,
        metadata(generic_metadata=GenericOperationMetadata(create_time=started, update_time=started)),
        scripted,
        on_cancel=lambda: script.cancel(cancelled),
    )
