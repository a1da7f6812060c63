"""The triggerer's part in tests: a trigger as it gets it, and the event that the trigger fires."""

from __future__ import annotations

import asyncio
import json
from typing import Any, TypeVar

from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import BaseTrigger

T = TypeVar("T", bound=BaseTrigger)


def revived_as(kind: type[T], waiting: TaskDeferred) -> T:
    """The trigger in the triggerer, which gets it as text."""
    name, arguments = waiting.trigger.serialize()
    assert name == f"{kind.__module__}.{kind.__name__}"
    return kind(**json.loads(json.dumps(arguments)))


def fired(trigger: BaseTrigger) -> Any:
    """The payload of the trigger's one event."""

    async def run() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (payload,) = asyncio.run(run())
    return payload
