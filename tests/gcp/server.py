"""The gRPC server: for each call authentication, permission, checks, fault, handler, and a note of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import proto  # type: ignore[import-untyped]
from google.protobuf import any_pb2
from google.rpc import status_pb2

from tests.gcp import checks, wording
from tests.gcp.calls import Call
from tests.gcp.faults import Fault, Kind
from tests.gcp.identity import UnauthenticatedError
from tests.gcp.service import Method, Refusal, Service

if TYPE_CHECKING:
    from tests.gcp.certificates import Certificates
    from tests.gcp.cloud import LoopbackCloud

#: Calls in progress at once; a call that a fault holds up takes one of them.
_THREADS = 128


@dataclass(frozen=True)
class _Endpoint:
    """One method, ready to be called."""

    cloud: LoopbackCloud
    service: str
    name: str
    method: Method

    def __call__(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        principal = ""
        try:
            principal = self.cloud.identity.principal(metadata.pop("authorization", ""))
        except UnauthenticatedError as error:
            call = self.cloud.calls.begin(self.name, principal, None, metadata)
            self._refuse(call, context, Refusal(grpc.StatusCode.UNAUTHENTICATED, str(error)))
        call = self.cloud.calls.begin(self.name, principal, None, metadata)
        call.permission = self.method.permission
        try:
            call.request = checks.parse(self.method, data)
            fault = self.cloud.faults.take(self.name)
            call.fault = fault.kind.name if fault else ""
            self._before(fault, call, context)
            self._admit(call)
            answer = self.method.handler(call.request, call)
        except Refusal as refusal:
            self._refuse(call, context, refusal)
        except Exception as error:
            self.cloud.calls.end(call, "INTERNAL", repr(error))
            raise
        if fault is not None and fault.kind is Kind.DROPPED:
            self._drop(call, context)
        self.cloud.calls.end(call, "OK")
        return _bytes(self.method.response, answer)

    def _admit(self, call: Call) -> None:
        """Project, permission, fields, region. Raises Refusal."""
        resource = checks.resource(call.request)
        project, location = checks.place(resource)
        own = project in ("", self.cloud.project, self.cloud.project_number)
        if not own or not self.cloud.permissions.allows(call.principal, self.method.permission):
            raise wording.permission_denied(self.service, self.method.permission, resource)
        checks.check_fields(self.method, call.request)
        allowed = {"", self.cloud.region} | (set() if "aiplatform" in self.service else {"global"})
        if location not in allowed:
            raise Refusal(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"The provided location ID doesn't match the endpoint: {location}, expected {self.cloud.region}.",
            )

    def _before(self, fault: Fault | None, call: Call, context: grpc.ServicerContext) -> None:
        """What happens before the server acts. Raises Refusal."""
        if self.cloud.latency:
            time.sleep(self.cloud.latency)
        if fault is None or fault.kind is Kind.DROPPED:
            return
        ended = Event()
        if not context.add_callback(ended.set):
            ended.set()
        if fault.kind is Kind.SLOW:
            ended.wait(fault.seconds)
            return
        if fault.kind is Kind.DEADLINE:
            ended.wait()
            raise Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        raise wording.refusal(
            fault.kind, self.service, self.method.permission, checks.resource(call.request), self.cloud.project_number
        )

    def _refuse(self, call: Call, context: grpc.ServicerContext, refusal: Refusal) -> NoReturn:
        self.cloud.calls.end(call, refusal.code.name, refusal.message)
        if refusal.details:
            status = status_pb2.Status(code=refusal.code.value[0], message=refusal.message)
            for detail in refusal.details:
                packed = any_pb2.Any()
                packed.Pack(detail)
                status.details.append(packed)
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(refusal.code, refusal.message)
        raise AssertionError("abort raises")

    def _drop(self, call: Call, context: grpc.ServicerContext) -> NoReturn:
        """Break the client's connection; other calls on the same connection break, too."""
        self.cloud.calls.end(call, "DROPPED")
        self.cloud.proxy.cut(int(context.peer().rpartition(":")[2]))
        context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        raise AssertionError("abort raises")


def _bytes(response: Any, answer: Any) -> bytes:
    if not isinstance(answer, response):
        raise TypeError(f"the handler answered {type(answer).__name__}, not {response.__name__}")
    data = type(answer).serialize(answer) if isinstance(answer, proto.Message) else answer.SerializeToString()
    return bytes(data)


@contextmanager
def grpc_server(cloud: LoopbackCloud, services: list[Service], certificates: Certificates) -> Iterator[int]:
    """The port of the server on 127.0.0.1 for all ``services``. At its end all calls end."""
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="grpc")
    server = grpc.server(pool, options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 64 << 20)])
    for service in services:
        short = service.name.rpartition(".")[2]
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(_Endpoint(cloud, service.name, f"{short}.{name}", method))
            for name, method in service.methods.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.name, handlers),))
    pair = (certificates.key.read_bytes(), certificates.chain.read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()
        pool.shutdown()
