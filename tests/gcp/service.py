"""What a double of a gRPC service is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import grpc

from tests.gcp.calls import Call

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud


class Refusal(Exception):  # noqa: N818
    """An answer other than OK: raised by a handler, or by the work of an operation.

    ``details``: messages of google.rpc, such as ``BadRequest``, that the client gets along.
    """

    def __init__(self, code: grpc.StatusCode, message: str, details: Sequence[Any] = ()) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code, self.message, self.details = code, message, tuple(details)


@dataclass(frozen=True)
class Method:
    """One method.

    ``request``, ``response``: types of proto-plus or protobuf; ``permission``: what the principal needs, may be empty;
    ``handler``: gets a request that passed all checks of ``checks``; ``names``: for fields whose documentation gives no
    format, by path (``"batch_prediction_job.model"``), the formats that are allowed
    (``"projects/{project}/locations/{location}/models/{model}"``).
    """

    request: type
    response: type
    permission: str
    handler: Callable[[Any, Call], Any]
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Service(Protocol):
    """One service. The cloud calls ``attach`` once, when it begins; ``detach`` at its end, to end what runs."""

    name: str
    methods: Mapping[str, Method]

    def attach(self, cloud: LoopbackCloud) -> None: ...

    def detach(self) -> None: ...
