"""Refusals in Google's words."""

from __future__ import annotations

import grpc
from google.rpc import error_details_pb2

from tests.gcp.faults import Kind
from tests.gcp.service import Refusal


def api(service: str) -> str:
    """The host that stands for a service: ``aiplatform.googleapis.com``."""
    return f"{service.split('.')[-3] if service.count('.') >= 3 else 'aiplatform'}.googleapis.com".replace(
        "devtools", "cloudbuild"
    )


def permission_denied(service: str, permission: str, resource: str) -> Refusal:
    """As the services say it of what may not be done, and of what must not be known to exist."""
    return Refusal(
        grpc.StatusCode.PERMISSION_DENIED,
        f"Permission '{permission}' denied on resource '//{api(service)}/{resource}' (or it may not exist).",
        [
            error_details_pb2.ErrorInfo(
                reason="IAM_PERMISSION_DENIED",
                domain=api(service),
                metadata={"permission": permission, "resource": resource},
            )
        ],
    )


def refusal(kind: Kind, service: str, permission: str, resource: str, project_number: str) -> Refusal:
    """What the server says to a fault that needs no acting."""
    if kind is Kind.UNAVAILABLE:
        return Refusal(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")
    if kind is Kind.INVALID_ARGUMENT:
        return Refusal(grpc.StatusCode.INVALID_ARGUMENT, "Request contains an invalid argument.")
    if kind is Kind.PERMISSION_DENIED:
        return permission_denied(service, permission, resource)
    metric = (
        f"{api(service)}/{'resource_management_requests' if kind is Kind.RATE_LIMIT else 'custom_model_training_cpus'}"
    )
    if kind is Kind.RATE_LIMIT:
        message = (
            f"Quota exceeded for quota metric '{metric}' and limit 'Resource management requests per minute per region'"
            f" of service '{api(service)}' for consumer 'project_number:{project_number}'."
        )
        reason = "RATE_LIMIT_EXCEEDED"
    else:
        message = f"The following quota metrics exceed quota limits: {metric}"
        reason = "QUOTA_EXCEEDED"
    info = error_details_pb2.ErrorInfo(
        reason=reason, domain="googleapis.com", metadata={"quota_metric": metric, "service": api(service)}
    )
    return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, message, [info])
