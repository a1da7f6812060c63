"""The pipeline's endpoint on Vertex AI: from the traffic that is wanted to the calls that are due.

:func:`next_step` decides and :func:`apply` does, one step at a time, each from a new look: after a kill or a failure a
retry goes on. A release is deployed under its own number, so it is never deployed twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ml.errors import SettingsError
from ml.settings import Settings
from ml.vertex_records import RegisteredModel
from respan.vertex import operations
from respan.vertex.failures import google_errors
from respan.vertex.names import labels, resource_id
from respan.vertex.operations import CALL_SECONDS, Operation
from respan.vertex.place import Place

#: How ``DeployModel`` names the model that it deploys.
_THIS_ONE = "0"


@dataclass(frozen=True, slots=True)
class EndpointState:
    """What is deployed, by id, and the share of the traffic that each gets, in percent; empty where nothing is.

    ``name`` is the endpoint's resource name, as the service writes it.
    """

    deployed: frozenset[str]
    traffic: Mapping[str, int] = field(default_factory=dict)
    etag: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class CreateEndpoint:
    """Makes the endpoint."""


@dataclass(frozen=True, slots=True)
class Deploy:
    """Puts ``version`` next to those that run: without traffic, or with all of it where nothing has any."""

    version: int
    serves_at_once: bool


@dataclass(frozen=True, slots=True)
class ShiftTraffic:
    """Gives deployed versions their shares, in percent; who isn't named has none from then on."""

    traffic: Mapping[str, int]
    etag: str


@dataclass(frozen=True, slots=True)
class Undeploy:
    """Takes away what has no traffic."""

    deployed_id: str


Step = CreateEndpoint | Deploy | ShiftTraffic | Undeploy


def next_step(state: EndpointState | None, wanted: Mapping[int, int]) -> Step | None:
    """What is to be done next, until exactly the versions in ``wanted`` are deployed with those shares; None: nothing.

    ``state`` is None where there is no endpoint. Traffic moves only to what is up, and nothing that has traffic is
    taken away.
    """
    if state is None:
        return CreateEndpoint()
    for version in sorted(wanted):
        if str(version) not in state.deployed:
            return Deploy(version, serves_at_once=not state.traffic)
    shares = {str(version): share for version, share in sorted(wanted.items())}
    if {deployed: share for deployed, share in state.traffic.items() if share} != shares:
        return ShiftTraffic(shares, state.etag)
    left = sorted(state.deployed - set(shares))
    return Undeploy(left[0]) if left else None


def endpoint_id(pipeline: str) -> str:
    """The id of the pipeline's endpoint."""
    return resource_id(pipeline.replace("_", "-"))


def check_endpoint_settings(settings: Settings) -> None:
    """Raises ``SettingsError`` where the settings ask for an endpoint that can't do what a release needs."""
    if settings.vertex.endpoint.enabled and settings.vertex.network:
        raise SettingsError(
            f"pipeline {settings.name}: vertex.endpoint.enabled and vertex.network don't go together: an endpoint in a "
            "peered network holds one model and can't shift traffic: leave one of the two out"
        )


def endpoint_state(place: Place, pipeline: str) -> EndpointState | None:
    """What the pipeline's endpoint holds now; None where there is no endpoint."""
    from google.api_core.exceptions import NotFound

    own = endpoint_id(pipeline)
    with google_errors(f"look endpoint {own} up"):
        try:
            found = _hook(place).get_endpoint(
                project_id=place.project, region=place.region, endpoint=own, timeout=CALL_SECONDS
            )
        except NotFound:
            return None
    deployed = frozenset(model.id for model in found.deployed_models)
    return EndpointState(deployed, dict(found.traffic_split), found.etag, found.name)


def under_way(place: Place, pipeline: str, state: EndpointState | None) -> Operation | None:
    """An operation on the pipeline's endpoint that isn't done, whoever began it."""
    own = endpoint_id(pipeline)
    name = state.name if state is not None else f"{place.parent}/endpoints/{own}"
    return operations.unfinished(place, name, f"change endpoint {own}")


def apply(place: Place, settings: Settings, step: Step, registered: Mapping[int, RegisteredModel]) -> Operation | None:
    """Takes the step; what is to be awaited before the next one, None where it is done already, or was before.

    :param registered: the versions that may be deployed, as the registry has them.
    """
    match step:
        case CreateEndpoint():
            return _create(place, settings)
        case Deploy():
            return _deploy(place, settings, step, registered[step.version])
        case ShiftTraffic():
            _shift(place, settings, step)
            return None
        case Undeploy():
            return _undeploy(place, settings, step)


def _create(place: Place, settings: Settings) -> Operation | None:
    from google.api_core.exceptions import AlreadyExists

    own = endpoint_id(settings.name)
    doing = f"make endpoint {own}"
    endpoint: dict[str, Any] = {"display_name": settings.name, "labels": labels(settings)}
    if settings.vertex.encryption_key:
        endpoint["encryption_spec"] = {"kms_key_name": settings.vertex.encryption_key}
    with google_errors(doing), contextlib.suppress(AlreadyExists):
        started = _hook(place).create_endpoint(
            project_id=place.project, region=place.region, endpoint=endpoint, endpoint_id=own, timeout=CALL_SECONDS
        )
        return Operation(started.operation.name, doing)
    return None


def _deploy(place: Place, settings: Settings, step: Deploy, model: RegisteredModel) -> Operation | None:
    from google.api_core.exceptions import AlreadyExists

    own, wanted = endpoint_id(settings.name), settings.vertex.endpoint
    doing = f"deploy release {step.version} to endpoint {own}"
    machine: dict[str, Any] = {"machine_type": wanted.machine_type}
    if wanted.accelerator_type:
        machine |= {"accelerator_type": wanted.accelerator_type, "accelerator_count": wanted.accelerator_count}
    deployed: dict[str, Any] = {
        "id": str(step.version),
        "display_name": f"{settings.name}-{step.version}",
        "model": model.pinned,
        "dedicated_resources": {
            "machine_spec": machine,
            "min_replica_count": wanted.min_replicas,
            "max_replica_count": wanted.max_replicas,
            "spot": wanted.spot,
        },
    }
    if settings.vertex.service_account:
        deployed["service_account"] = settings.vertex.service_account
    with google_errors(doing), contextlib.suppress(AlreadyExists):
        started = _hook(place).deploy_model(
            project_id=place.project,
            region=place.region,
            endpoint=own,
            deployed_model=deployed,
            traffic_split={_THIS_ONE: 100} if step.serves_at_once else None,
            timeout=CALL_SECONDS,
        )
        return Operation(started.operation.name, doing)
    return None


def _shift(place: Place, settings: Settings, step: ShiftTraffic) -> None:
    own = endpoint_id(settings.name)
    with google_errors(f"shift the traffic of endpoint {own}"):
        _hook(place).update_endpoint(
            project_id=place.project,
            region=place.region,
            endpoint_id=own,
            endpoint={"display_name": settings.name, "traffic_split": dict(step.traffic), "etag": step.etag},
            update_mask={"paths": ["traffic_split"]},
            timeout=CALL_SECONDS,
        )


def _undeploy(place: Place, settings: Settings, step: Undeploy) -> Operation | None:
    from google.api_core.exceptions import NotFound

    own = endpoint_id(settings.name)
    doing = f"undeploy {step.deployed_id} from endpoint {own}"
    with google_errors(doing), contextlib.suppress(NotFound):
        started = _hook(place).undeploy_model(
            project_id=place.project,
            region=place.region,
            endpoint=own,
            deployed_model_id=step.deployed_id,
            timeout=CALL_SECONDS,
        )
        return Operation(started.operation.name, doing)
    return None


def _hook(place: Place) -> Any:
    from airflow.providers.google.cloud.hooks.vertex_ai.endpoint_service import EndpointServiceHook

    return EndpointServiceHook(gcp_conn_id=place.connection)
