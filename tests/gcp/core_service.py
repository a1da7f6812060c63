"""The smallest service that shows what the core does: endpoints that can be created and read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import grpc
from google.cloud import aiplatform_v1 as vertex
from google.longrunning import operations_pb2

from tests.gcp.calls import Call
from tests.gcp.service import Method, Refusal

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud


class Endpoints:
    """``fail``: the refusal with which the next creation ends, in its operation."""

    name = "google.cloud.aiplatform.v1.EndpointService"

    def __init__(self) -> None:
        self.endpoints: dict[str, vertex.Endpoint] = {}
        self.fail: Refusal | None = None
        self.methods: Mapping[str, Method] = {
            "CreateEndpoint": Method(
                vertex.CreateEndpointRequest, operations_pb2.Operation, "aiplatform.endpoints.create", self._create
            ),
            "GetEndpoint": Method(vertex.GetEndpointRequest, vertex.Endpoint, "aiplatform.endpoints.get", self._get),
        }

    def attach(self, cloud: LoopbackCloud) -> None:
        self._cloud = cloud

    def detach(self) -> None:
        """Nothing runs."""

    def _create(self, request: vertex.CreateEndpointRequest, call: Call) -> operations_pb2.Operation:
        name = f"{request.parent}/endpoints/{len(self.endpoints) + 1}"
        endpoint = vertex.Endpoint(name=name, display_name=request.endpoint.display_name)
        self.endpoints[name] = endpoint

        def work() -> vertex.Endpoint:
            if self.fail is not None:
                raise self.fail
            return endpoint

        return self._cloud.operations.start(name, vertex.Endpoint, vertex.CreateEndpointOperationMetadata(), work)

    def _get(self, request: vertex.GetEndpointRequest, call: Call) -> vertex.Endpoint:
        if request.name not in self.endpoints:
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"The Endpoint does not exist: {request.name}")
        return self.endpoints[request.name]
