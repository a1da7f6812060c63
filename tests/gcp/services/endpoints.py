"""Vertex AI's endpoints: what is deployed there, and its share of the traffic.

Rules are from the documentation of ``google.cloud.aiplatform_v1.types``: ``Endpoint`` (``traffic_split``),
``DeployedModel`` (``id``), ``CreateEndpointRequest`` (``endpoint_id``), ``DeployModelRequest`` and
``UndeployModelRequest``. A model is loaded when it is first asked, not when it is deployed: ``endpoints_prediction``.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from threading import RLock
from typing import TYPE_CHECKING, Any

import grpc
from google.cloud.aiplatform_v1 import types
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from tests.gcp.calls import Call
from tests.gcp.service import Method, Refusal
from tests.gcp.services.endpoints_traffic import check_split, without
from tests.gcp.services.model_registry import ModelRegistry
from tests.gcp.services.resource_listing import Fields, filtered, ordered, page
from tests.gcp.services.scripts import Script
from tests.gcp.services.vertex_resources import (
    canonical,
    check_acting_as,
    failed_precondition,
    invalid,
    last,
    not_found,
    now,
    operation,
)

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud

_ID = re.compile(r"[a-z]|[a-z][a-z0-9-]{0,61}[a-z0-9]|[1-9][0-9]{0,8}")
_DEPLOYED_ID = re.compile(r"[0-9]{1,10}")
_UPDATABLE = {"display_name", "description", "labels", "traffic_split"}
_FIELDS: Fields = {
    "endpoint": lambda endpoint: last(endpoint.name),
    "display_name": lambda endpoint: endpoint.display_name,
    "labels": lambda endpoint: dict(endpoint.labels),
    "create_time": lambda endpoint: endpoint.create_time.isoformat(),
    "update_time": lambda endpoint: endpoint.update_time.isoformat(),
}


class Endpoints:
    """``EndpointService``. ``script`` holds or fails its operations: ``"DeployModel <endpoint id>"``, …"""

    name = "google.cloud.aiplatform.v1.EndpointService"

    def __init__(self, registry: ModelRegistry) -> None:
        self.script = Script()
        self._registry = registry
        self._lock = RLock()
        self._endpoints: dict[str, types.Endpoint] = {}
        self._busy: dict[str, str] = {}
        t, lro = types, operations_pb2.Operation
        self.methods: Mapping[str, Method] = {
            "CreateEndpoint": Method(t.CreateEndpointRequest, lro, "aiplatform.endpoints.create", self._create),
            "GetEndpoint": Method(t.GetEndpointRequest, t.Endpoint, "aiplatform.endpoints.get", self._get),
            "ListEndpoints": Method(
                t.ListEndpointsRequest, t.ListEndpointsResponse, "aiplatform.endpoints.list", self._list
            ),
            "UpdateEndpoint": Method(t.UpdateEndpointRequest, t.Endpoint, "aiplatform.endpoints.update", self._update),
            "DeployModel": Method(t.DeployModelRequest, lro, "aiplatform.endpoints.deploy", self._deploy),
            "UndeployModel": Method(t.UndeployModelRequest, lro, "aiplatform.endpoints.undeploy", self._undeploy),
            "DeleteEndpoint": Method(t.DeleteEndpointRequest, lro, "aiplatform.endpoints.delete", self._delete),
        }

    def attach(self, cloud: LoopbackCloud) -> None:
        self._cloud = cloud

    def detach(self) -> None:
        self.script.close()

    def find(self, name: str) -> types.Endpoint:
        """A copy of an endpoint. Raises Refusal."""
        with self._lock:
            return types.Endpoint(self._endpoint(name))

    def _endpoint(self, name: str) -> types.Endpoint:
        endpoint = self._endpoints.get(canonical(self._cloud, name))
        if endpoint is None:
            raise not_found(f"Endpoint `{name}` not found.")
        return endpoint

    def _create(self, request: types.CreateEndpointRequest, call: Call) -> operations_pb2.Operation:
        if request.endpoint_id and not _ID.fullmatch(request.endpoint_id):
            raise invalid(
                f"Invalid endpoint_id {request.endpoint_id!r}: up to 63 of [a-z0-9-], a letter first, no hyphen last; "
                "or up to 9 digits without a leading zero."
            )
        if request.endpoint.traffic_split:
            raise invalid("endpoint.traffic_split must be empty: no model is deployed to a new Endpoint.")
        endpoint_id = request.endpoint_id or str(secrets.randbelow(10**18) + 10**18)
        name = f"{canonical(self._cloud, request.parent + '/')}endpoints/{endpoint_id}"
        with self._lock:
            if name in self._endpoints or name in self._busy:
                raise Refusal(grpc.StatusCode.ALREADY_EXISTS, f'The Endpoint "{name}" already exists.')

            def work() -> types.Endpoint:
                created = types.Endpoint(request.endpoint)
                created.name, created.etag = name, secrets.token_urlsafe(9)
                created.create_time = created.update_time = now()
                with self._lock:
                    self._endpoints[name] = created
                    return types.Endpoint(created)

            return self._operation(name, "CreateEndpoint", types.Endpoint, types.CreateEndpointOperationMetadata, work)

    def _get(self, request: types.GetEndpointRequest, call: Call) -> types.Endpoint:
        return self.find(request.name)

    def _list(self, request: types.ListEndpointsRequest, call: Call) -> types.ListEndpointsResponse:
        parent = canonical(self._cloud, request.parent + "/")
        with self._lock:
            found = [types.Endpoint(e) for name, e in reversed(self._endpoints.items()) if name.startswith(parent)]
        found = ordered(filtered(found, request.filter, _FIELDS), request.order_by, _FIELDS)
        shown, token = page(found, request.page_size, request.page_token)
        return types.ListEndpointsResponse(endpoints=shown, next_page_token=token)

    def _update(self, request: types.UpdateEndpointRequest, call: Call) -> types.Endpoint:
        paths = set(request.update_mask.paths)
        if not paths <= _UPDATABLE:
            raise invalid(f"Fields {sorted(paths - _UPDATABLE)} in update_mask can't be updated.")
        with self._lock:
            endpoint = self._idle(request.endpoint.name)
            if request.endpoint.etag and request.endpoint.etag != endpoint.etag:
                raise Refusal(grpc.StatusCode.ABORTED, f"The etag of `{endpoint.name}` is another one by now.")
            if "traffic_split" in paths:
                check_split(request.endpoint.traffic_split, [deployed.id for deployed in endpoint.deployed_models])
            for path in paths:
                setattr(endpoint, path, getattr(request.endpoint, path))
            self._touch(endpoint)
            return types.Endpoint(endpoint)

    def _deploy(self, request: types.DeployModelRequest, call: Call) -> operations_pb2.Operation:
        deployed = types.DeployedModel(request.deployed_model)
        check_acting_as(self._cloud, call, deployed.service_account)
        _check_deployed(deployed)
        with self._lock:
            endpoint = self._idle(request.endpoint)
            model = self._registry.find(deployed.model)
            ids = [other.id for other in endpoint.deployed_models]
            if deployed.id in ids:
                raise Refusal(
                    grpc.StatusCode.ALREADY_EXISTS,
                    f'DeployedModel with ID "{deployed.id}" already exists in the Endpoint "{endpoint.name}".',
                )
            deployed.id = deployed.id or str(secrets.randbelow(9 * 10**9) + 10**9)
            check_split(request.traffic_split, ["0", *ids, deployed.id])
            split = {deployed.id if key == "0" else key: share for key, share in request.traffic_split.items()}
            deployed.model, deployed.model_version_id = model.name, model.version_id
            deployed.display_name = deployed.display_name or model.display_name
            deployed.create_time = now()
            # From now on the model can't be deleted.
            self._registry.deployed(model, endpoint.name, deployed.id)
            done = False

            def work() -> types.DeployModelResponse:
                nonlocal done
                with self._lock:
                    endpoint.deployed_models.append(deployed)
                    if split:
                        endpoint.traffic_split = split
                    self._touch(endpoint)
                    done = True
                return types.DeployModelResponse(deployed_model=deployed)

            def always() -> None:
                if not done:
                    self._registry.undeployed(endpoint.name, deployed.id)

            return self._operation(
                endpoint.name,
                "DeployModel",
                types.DeployModelResponse,
                types.DeployModelOperationMetadata,
                work,
                always,
            )

    def _undeploy(self, request: types.UndeployModelRequest, call: Call) -> operations_pb2.Operation:
        removed = request.deployed_model_id
        with self._lock:
            endpoint = self._idle(request.endpoint)
            rest = [other.id for other in endpoint.deployed_models if other.id != removed]
            if len(rest) == len(endpoint.deployed_models):
                raise not_found(f'DeployedModel with ID "{removed}" is not found in the Endpoint "{endpoint.name}".')
            split = without(removed, dict(endpoint.traffic_split), dict(request.traffic_split), rest)

            def work() -> types.UndeployModelResponse:
                with self._lock:
                    endpoint.deployed_models = [m for m in endpoint.deployed_models if m.id != removed]
                    endpoint.traffic_split = split
                    self._touch(endpoint)
                self._registry.undeployed(endpoint.name, removed)
                return types.UndeployModelResponse()

            return self._operation(
                endpoint.name,
                "UndeployModel",
                types.UndeployModelResponse,
                types.UndeployModelOperationMetadata,
                work,
            )

    def _delete(self, request: types.DeleteEndpointRequest, call: Call) -> operations_pb2.Operation:
        with self._lock:
            endpoint = self._idle(request.name)
            if endpoint.deployed_models:
                ids = ", ".join(deployed.id for deployed in endpoint.deployed_models)
                raise failed_precondition(
                    f'Endpoint "{endpoint.name}" has deployed or being-deployed DeployedModel(s) {ids}: undeploy them.'
                )

            def work() -> empty_pb2.Empty:
                with self._lock:
                    self._endpoints.pop(endpoint.name, None)
                return empty_pb2.Empty()

            return self._operation(
                endpoint.name, "DeleteEndpoint", empty_pb2.Empty, types.DeleteOperationMetadata, work
            )

    def _idle(self, name: str) -> types.Endpoint:
        """The endpoint itself. Raises Refusal where an operation changes it at the moment."""
        endpoint = self._endpoint(name)
        if endpoint.name in self._busy:
            raise failed_precondition(
                f'There are other operations running on the resource "{endpoint.name}". '
                f"Operation(s) are: {self._busy[endpoint.name]}."
            )
        return endpoint

    def _operation(
        self,
        name: str,
        method: str,
        response: type,
        metadata: type,
        work: Callable[[], Any],
        always: Callable[[], None] = lambda: None,
    ) -> operations_pb2.Operation:
        """An operation that changes an endpoint; until it has ended, no other may. The lock is held."""

        def ended() -> None:
            with self._lock:
                self._busy.pop(name, None)
            always()

        self._busy[name] = method
        started = operation(self._cloud, self.script, name, method, response, metadata, work, ended)
        self._busy[name] = started.name
        return started

    @staticmethod
    def _touch(endpoint: types.Endpoint) -> None:
        endpoint.update_time, endpoint.etag = now(), secrets.token_urlsafe(9)


def _check_deployed(deployed: types.DeployedModel) -> None:
    if not deployed.model:
        raise invalid("deployed_model.model is required.")
    if deployed.id and (not _DEPLOYED_ID.fullmatch(deployed.id) or deployed.id == "0"):
        raise invalid(f"Invalid deployed_model.id {deployed.id!r}: it must have 1 to 10 digits, and not be 0.")
    if "dedicated_resources" not in deployed:
        raise invalid("'automatic_resources' isn't supported for a custom-trained Model: set 'dedicated_resources'.")
    resources = deployed.dedicated_resources
    if not resources.machine_spec.machine_type:
        raise invalid("deployed_model.dedicated_resources.machine_spec.machine_type is required.")
    if resources.min_replica_count < 1:
        raise invalid("'min_replica_count' must be greater than 0.")
    if resources.max_replica_count and resources.max_replica_count < resources.min_replica_count:
        raise invalid("'max_replica_count' must not be less than 'min_replica_count'.")
