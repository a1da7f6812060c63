"""google.longrunning.Operations, and the work behind each operation."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any

import grpc
import proto  # type: ignore[import-untyped]
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2
from google.rpc import code_pb2

from tests.gcp.calls import Call
from tests.gcp.service import Method, Refusal

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud

#: How long ``WaitOperation`` waits at most, in seconds.
_WAIT = 30.0


@dataclass
class _Work:
    operation: operations_pb2.Operation
    thread: Thread | None
    on_cancel: Callable[[], None] | None


class Operations:
    """The operations of this cloud; also the service that clients ask about them."""

    name = "google.longrunning.Operations"

    def __init__(self) -> None:
        self._changed = Condition()
        self._works: dict[str, _Work] = {}
        named = operations_pb2
        # No permission: whoever may know an operation's name, may ask about it. The start of it was checked.
        self.methods: Mapping[str, Method] = {
            "GetOperation": Method(named.GetOperationRequest, named.Operation, "", self._get),
            "WaitOperation": Method(named.WaitOperationRequest, named.Operation, "", self._wait),
            "ListOperations": Method(named.ListOperationsRequest, named.ListOperationsResponse, "", self._list),
            "CancelOperation": Method(named.CancelOperationRequest, empty_pb2.Empty, "", self._cancel),
            "DeleteOperation": Method(named.DeleteOperationRequest, empty_pb2.Empty, "", self._delete),
        }

    def attach(self, cloud: LoopbackCloud) -> None:
        """Nothing of the cloud is needed."""

    def start(
        self,
        name_prefix: str,
        response_type: type,
        metadata: Any,
        work: Callable[[], Any],
        *,
        on_cancel: Callable[[], None] | None = None,
    ) -> operations_pb2.Operation:
        """A new operation ``<name_prefix>/operations/<number>`` whose ``work`` runs in a thread of its own.

        ``work`` returns a message of ``response_type``, or raises Refusal, which becomes the operation's error; any
        other exception becomes INTERNAL. ``on_cancel`` is called once, when a client cancels or the cloud ends: it
        makes ``work`` return soon. What the work of a cancelled operation returns is dropped.
        """
        operation = operations_pb2.Operation(name=f"{name_prefix}/operations/{secrets.randbelow(10**18) + 10**18}")
        operation.metadata.Pack(_plain(metadata))
        thread = Thread(target=self._run, args=(operation.name, response_type, work), name="operation")
        with self._changed:
            self._works[operation.name] = _Work(operation, thread, on_cancel)
            answer = _copy(operation)
        thread.start()
        return answer

    def done(self, name_prefix: str, response: Any, metadata: Any) -> operations_pb2.Operation:
        """A new operation that has ended already with ``response``."""
        operation = operations_pb2.Operation(
            name=f"{name_prefix}/operations/{secrets.randbelow(10**18) + 10**18}", done=True
        )
        operation.metadata.Pack(_plain(metadata))
        operation.response.Pack(_plain(response))
        with self._changed:
            self._works[operation.name] = _Work(operation, None, None)
            return _copy(operation)

    def update(self, name: str, metadata: Any) -> None:
        """New metadata for a running operation."""
        with self._changed:
            self._works[name].operation.metadata.Pack(_plain(metadata))

    def get(self, name: str) -> operations_pb2.Operation:
        """A copy of an operation. Raises Refusal, NOT_FOUND."""
        with self._changed:
            return _copy(self._find(name).operation)

    def cancel(self, name: str) -> None:
        """End an operation with CANCELLED; one that has ended stays as it is. Raises Refusal, NOT_FOUND."""
        with self._changed:
            work = self._find(name)
            if work.operation.done:
                return
            work.operation.error.code = code_pb2.CANCELLED
            work.operation.error.message = "The operation was cancelled."
            work.operation.done = True
            self._changed.notify_all()
        if work.on_cancel is not None:
            work.on_cancel()

    def detach(self) -> None:
        """Cancel what runs, and wait until its work has ended."""
        with self._changed:
            works = list(self._works.items())
        for name, work in works:
            self.cancel(name)
            if work.thread is not None:
                work.thread.join()

    def _run(self, name: str, response_type: type, work: Callable[[], Any]) -> None:
        code, message, response = code_pb2.OK, "", None
        try:
            response = work()
            if not isinstance(response, response_type):
                raise TypeError(f"the work returned {type(response).__name__}, not {response_type.__name__}")
        except Refusal as refusal:
            code, message = refusal.code.value[0], refusal.message
        except Exception as error:
            code, message = code_pb2.INTERNAL, f"{type(error).__name__}: {error}"
        with self._changed:
            work_entry = self._works.get(name)
            if work_entry is None or work_entry.operation.done:
                return
            operation = work_entry.operation
            if code == code_pb2.OK:
                operation.response.Pack(_plain(response))
            else:
                operation.error.code, operation.error.message = code, message
            operation.done = True
            self._changed.notify_all()

    def _find(self, name: str) -> _Work:
        work = self._works.get(name)
        if work is None:
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"Operation {name} is not found.")
        return work

    def _get(self, request: operations_pb2.GetOperationRequest, call: Call) -> operations_pb2.Operation:
        return self.get(request.name)

    def _wait(self, request: operations_pb2.WaitOperationRequest, call: Call) -> operations_pb2.Operation:
        asked = request.timeout.ToTimedelta().total_seconds() if request.HasField("timeout") else _WAIT
        with self._changed:
            work = self._find(request.name)
            self._changed.wait_for(lambda: work.operation.done, min(asked, _WAIT))
            return _copy(work.operation)

    def _list(self, request: operations_pb2.ListOperationsRequest, call: Call) -> operations_pb2.ListOperationsResponse:
        """All below a name, without pages: there are never many."""
        prefix = request.name.removesuffix("/operations")
        with self._changed:
            found = [_copy(work.operation) for name, work in self._works.items() if name.startswith(f"{prefix}/")]
        return operations_pb2.ListOperationsResponse(operations=found)

    def _cancel(self, request: operations_pb2.CancelOperationRequest, call: Call) -> empty_pb2.Empty:
        self.cancel(request.name)
        return empty_pb2.Empty()

    def _delete(self, request: operations_pb2.DeleteOperationRequest, call: Call) -> empty_pb2.Empty:
        with self._changed:
            if not self._find(request.name).operation.done:
                raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, f"Operation {request.name} is not done.")
            del self._works[request.name]
        return empty_pb2.Empty()


def _plain(message: Any) -> Any:
    return type(message).pb(message) if isinstance(message, proto.Message) else message


def _copy(operation: operations_pb2.Operation) -> operations_pb2.Operation:
    copy = operations_pb2.Operation()
    copy.CopyFrom(operation)
    return copy
