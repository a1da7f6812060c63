"""Every call that reached the cloud, in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Condition
from typing import Any


@dataclass(frozen=True)
class HttpRequest:
    """What a call over HTTP asked for; its body is not kept. ``query`` has the last value of each parameter."""

    verb: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass
class Call:
    """One call. A handler gets the one that it answers.

    ``method``: ``"PipelineService.CreatePipelineJob"``, ``"storage.objects.insert"``, ``"oauth2.token"``; ``request``:
    the message, or an ``HttpRequest``; ``outcome``: empty until it is answered, then ``"OK"`` or the name of a gRPC
    status, for HTTP the status as text, and ``"DROPPED"`` where the answer was not sent;
    ``fault``: what a test asked for.
    """

    number: int
    method: str
    principal: str
    request: Any
    metadata: Mapping[str, str] = field(default_factory=dict)
    permission: str = ""
    outcome: str = ""
    message: str = ""
    fault: str = ""


class Calls:
    """The calls since the start or the last ``clear``."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._calls: list[Call] = []
        self._count = 0

    def begin(self, method: str, principal: str, request: Any, metadata: Mapping[str, str]) -> Call:
        """Remember a call that has just arrived."""
        with self._changed:
            self._count += 1
            call = Call(self._count, method, principal, request, metadata)
            self._calls.append(call)
            self._changed.notify_all()
        return call

    def end(self, call: Call, outcome: str, message: str = "") -> None:
        """Note what became of it."""
        with self._changed:
            call.outcome, call.message = outcome, message
            self._changed.notify_all()

    def of(self, *methods: str) -> list[Call]:
        """The calls of these methods, in the order of their arrival."""
        with self._changed:
            return [call for call in self._calls if call.method in methods]

    def wait_for(self, method: str, count: int = 1, *, seconds: float = 60.0) -> list[Call]:
        """The calls of ``method`` once ``count`` of them are answered. Raises TimeoutError."""

        def answered() -> list[Call]:
            return [call for call in self._calls if call.method == method and call.outcome]

        with self._changed:
            if not self._changed.wait_for(lambda: len(answered()) >= count, seconds):
                raise TimeoutError(f"{len(answered())} of {count} calls of {method} after {seconds} seconds")
            return answered()

    def clear(self) -> None:
        """Forget them; the numbers go on."""
        with self._changed:
            self._calls.clear()

    def __iter__(self) -> Iterator[Call]:
        with self._changed:
            return iter(list(self._calls))

    def __len__(self) -> int:
        with self._changed:
            return len(self._calls)
