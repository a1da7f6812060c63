"""The gRPC side, asked by the clients of Vertex AI."""

from __future__ import annotations

import asyncio

import pytest
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.cloud import aiplatform_v1 as vertex
from google.oauth2 import service_account

from tests.gcp.cloud import LoopbackCloud
from tests.gcp.faults import Fault

GET = "EndpointService.GetEndpoint"
CREATE = "EndpointService.CreateEndpoint"


def options(cloud: LoopbackCloud) -> ClientOptions:
    return ClientOptions(api_endpoint=f"{cloud.region}-aiplatform.googleapis.com")


def credentials(cloud: LoopbackCloud) -> service_account.Credentials:
    made: service_account.Credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
        cloud.airflow_key, scopes=["https://www.googleapis.com/auth/cloud-platform"]
    )
    return made


@pytest.fixture
def client(core_cloud: LoopbackCloud) -> vertex.EndpointServiceClient:
    return vertex.EndpointServiceClient(credentials=credentials(core_cloud), client_options=options(core_cloud))


@pytest.fixture
def parent(core_cloud: LoopbackCloud) -> str:
    return f"projects/{core_cloud.project}/locations/{core_cloud.region}"


def test_an_operation_ends_with_its_response(
    client: vertex.EndpointServiceClient, parent: str, core_cloud: LoopbackCloud
) -> None:
    made = client.create_endpoint(parent=parent, endpoint=vertex.Endpoint(display_name="e")).result(timeout=60)
    assert client.get_endpoint(name=made.name) == made
    call = core_cloud.calls.of(CREATE)[0]
    assert (call.principal, call.outcome) == (core_cloud.airflow_principal, "OK")
    assert call.request.endpoint.display_name == "e"


def test_asyncio_clients_reach_it(parent: str, core_cloud: LoopbackCloud) -> None:
    async def ask() -> None:
        client = vertex.EndpointServiceAsyncClient(
            credentials=credentials(core_cloud), client_options=options(core_cloud)
        )
        with pytest.raises(exceptions.NotFound):
            await client.get_endpoint(name=f"{parent}/endpoints/1")
        await client.transport.close()

    asyncio.run(ask())


def test_requests_are_checked(client: vertex.EndpointServiceClient, parent: str, core_cloud: LoopbackCloud) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=r"Field: endpoint\.display_name; Message: Required"):
        client.create_endpoint(parent=parent, endpoint=vertex.Endpoint())
    with pytest.raises(exceptions.InvalidArgument, match="Invalid resource name"):
        client.get_endpoint(name=f"{parent}/models/1")
    with pytest.raises(exceptions.InvalidArgument, match="location"):
        client.get_endpoint(name=f"projects/{core_cloud.project}/locations/us-east1/endpoints/1")
    with pytest.raises(exceptions.PermissionDenied, match=r"aiplatform\.endpoints\.get"):
        client.get_endpoint(name=f"projects/another/locations/{core_cloud.region}/endpoints/1")


def test_unknown_fields_are_refused(client: vertex.EndpointServiceClient, parent: str) -> None:
    request = vertex.GetEndpointRequest.pb()(name=f"{parent}/endpoints/1")
    request.MergeFromString(b"\xfa\x3e\x01x")
    with pytest.raises(exceptions.InvalidArgument, match="Cannot find field"):
        client.get_endpoint(request=vertex.GetEndpointRequest.wrap(request))


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Fault.UNAVAILABLE, exceptions.ServiceUnavailable, "unavailable"),
        (Fault.RATE_LIMIT, exceptions.ResourceExhausted, "Quota exceeded for quota metric"),
        (Fault.QUOTA, exceptions.ResourceExhausted, "The following quota metrics exceed quota limits"),
        (Fault.PERMISSION_DENIED, exceptions.PermissionDenied, "or it may not exist"),
        (Fault.INVALID_ARGUMENT, exceptions.InvalidArgument, "invalid argument"),
    ],
)
def test_a_fault_hits_exactly_the_calls_named(
    client: vertex.EndpointServiceClient,
    parent: str,
    core_cloud: LoopbackCloud,
    fault: Fault,
    error: type[Exception],
    words: str,
) -> None:
    core_cloud.faults.add(GET, fault, after=1)
    for expected in (exceptions.NotFound, error, exceptions.NotFound):
        with pytest.raises(expected) as raised:
            client.get_endpoint(name=f"{parent}/endpoints/1", retry=None)
        assert expected is exceptions.NotFound or words in str(raised.value)


def test_after_a_dropped_answer_the_server_has_acted(
    client: vertex.EndpointServiceClient, parent: str, core_cloud: LoopbackCloud
) -> None:
    core_cloud.faults.add(CREATE, Fault.DROPPED)
    with pytest.raises(exceptions.ServiceUnavailable):
        client.create_endpoint(parent=parent, endpoint=vertex.Endpoint(display_name="e"))
    assert client.get_endpoint(name=f"{parent}/endpoints/1").display_name == "e"


def test_without_an_answer_the_deadline_passes_and_nothing_is_done(
    client: vertex.EndpointServiceClient, parent: str, core_cloud: LoopbackCloud
) -> None:
    core_cloud.faults.add(CREATE, Fault.DEADLINE)
    with pytest.raises(exceptions.DeadlineExceeded):
        client.create_endpoint(parent=parent, endpoint=vertex.Endpoint(display_name="e"), timeout=0.5)
    with pytest.raises(exceptions.NotFound):
        client.get_endpoint(name=f"{parent}/endpoints/1")


def test_what_is_denied_is_denied(client: vertex.EndpointServiceClient, parent: str, core_cloud: LoopbackCloud) -> None:
    core_cloud.permissions.deny(core_cloud.airflow_principal, "aiplatform.endpoints.get")
    with pytest.raises(
        exceptions.PermissionDenied, match=r"Permission 'aiplatform\.endpoints\.get' denied on resource"
    ):
        client.get_endpoint(name=f"{parent}/endpoints/1")


def test_a_key_that_is_not_the_accounts_is_refused(parent: str, core_cloud: LoopbackCloud) -> None:
    forged = core_cloud.airflow_key | {"client_email": core_cloud.workload_principal}
    stranger = service_account.Credentials.from_service_account_info(forged)  # type: ignore[no-untyped-call]
    client = vertex.EndpointServiceClient(credentials=stranger, client_options=options(core_cloud))
    with pytest.raises(exceptions.Unauthenticated):
        client.get_endpoint(name=f"{parent}/endpoints/1")
