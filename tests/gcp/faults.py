"""What a test tells the cloud to do wrong, for gRPC and HTTP alike."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from threading import Lock
from typing import ClassVar


class Kind(Enum):
    """How a call goes wrong. Only for SLOW and DROPPED does the server act."""

    UNAVAILABLE = "UNAVAILABLE"
    RATE_LIMIT = "RATE_LIMIT"
    QUOTA = "QUOTA"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE = "DEADLINE"
    SLOW = "SLOW"
    DROPPED = "DROPPED"


@dataclass(frozen=True)
class Fault:
    """One way to fail: a constant of this class, or ``Fault.SLOW(seconds)``."""

    kind: Kind
    seconds: float = 0.0

    #: 503 or UNAVAILABLE.
    UNAVAILABLE: ClassVar[Fault]
    #: 429 or RESOURCE_EXHAUSTED: too many requests a minute.
    RATE_LIMIT: ClassVar[Fault]
    #: 429 or RESOURCE_EXHAUSTED: the project's quota of the thing asked for is used up.
    QUOTA: ClassVar[Fault]
    PERMISSION_DENIED: ClassVar[Fault]
    INVALID_ARGUMENT: ClassVar[Fault]
    #: No answer until the client gives up.
    DEADLINE: ClassVar[Fault]
    #: The connection breaks after the server acted, before it answered.
    DROPPED: ClassVar[Fault]

    @staticmethod
    def SLOW(seconds: float) -> Fault:  # noqa: N802
        """The answer comes ``seconds`` late."""
        return Fault(Kind.SLOW, seconds)


for _kind in Kind:
    if _kind is not Kind.SLOW:
        setattr(Fault, _kind.name, Fault(_kind))


@dataclass
class _Rule:
    pattern: str
    fault: Fault
    times: int | None
    after: int


class Faults:
    """The faults that wait for their calls. Of several that fit a call, the one added first hits it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._rules: list[_Rule] = []

    def add(self, method: str, fault: Fault, *, times: int | None = 1, after: int = 0) -> None:
        """Fail ``times`` calls (None: all) of ``method``, once ``after`` of them went through.

        ``method`` is a name as in ``calls``, or a pattern: ``"storage.objects.*"``, ``"PipelineService.*"``.
        """
        with self._lock:
            self._rules.append(_Rule(method, fault, times, after))

    def clear(self) -> None:
        """Nothing fails any more."""
        with self._lock:
            self._rules.clear()

    @property
    def pending(self) -> list[str]:
        """The methods of the faults that have not hit as often as asked; those without an end are never pending."""
        with self._lock:
            return [rule.pattern for rule in self._rules if rule.times is not None]

    def take(self, method: str) -> Fault | None:
        """The fault for this call of ``method``; it counts as one of its times."""
        with self._lock:
            for rule in self._rules:
                if not fnmatchcase(method, rule.pattern):
                    continue
                if rule.after:
                    rule.after -= 1
                    continue
                if rule.times is not None:
                    rule.times -= 1
                    if not rule.times:
                        self._rules.remove(rule)
                return rule.fault
        return None
