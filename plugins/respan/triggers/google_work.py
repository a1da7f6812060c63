"""What waits in the triggerer for work at Google Cloud: an operation, a job, a build."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from ml.errors import RespanError
from respan.vertex import clearing_up
from respan.vertex.operations import pause


class GoogleWorkTrigger(BaseTrigger):
    """Fires when the work has ended, however, or nobody may ask about it; who waits looks at it then.

    Errors of Google Cloud that pass are logged, once each, and looked through with growing pauses. The triggerer's loop
    is never blocked. Where a person clears or marks the task, the work is cancelled; where that fails, the log tells
    what is left.

    :param poll_seconds: seconds between two looks.
    :param named: the arguments of the subclass, which make it again in the triggerer.
    """

    #: The argument that names the work: the payload is ``{work: its value}``.
    work: str

    def __init__(self, poll_seconds: float, **named: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.poll_seconds = poll_seconds
        self._named = named

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {**self._named, "poll_seconds": self.poll_seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async with await self._client() as client:
            failures, said = 0, ""
            while True:
                try:
                    ended, message = await self.look(client)
                    if ended:
                        break
                    failures = 0
                except RespanError as error:
                    if not error.retryable:
                        break
                    failures, message = failures + 1, str(error)
                if message != said:
                    self.log.info("%s", message)
                    said = message
                await asyncio.sleep(pause(self.poll_seconds, failures))
        yield TriggerEvent({self.work: self._named[self.work]})  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        async with await self._client() as client:
            for more in reversed(range(clearing_up.TRIES)):
                try:
                    await self.cancel(client)
                    return
                except RespanError as error:
                    if not more or not error.retryable:
                        self.log.error("%s; %s", error, self.left)
                        return
                    self.log.warning("%s", error)
                await asyncio.sleep(clearing_up.SECONDS_BETWEEN_TRIES)

    @property
    @abstractmethod
    def left(self) -> str:
        """What goes on where it can't be cancelled, and how a person ends it."""

    @abstractmethod
    async def look(self, client: Any) -> tuple[bool, str]:
        """Whether it has ended, and its state in words. Raises ``RespanError``."""

    @abstractmethod
    async def cancel(self, client: Any) -> None:
        """Asks it to end; nothing where it has ended. Raises ``RespanError``."""

    @abstractmethod
    def prepared(self) -> tuple[Any, Any, Any]:
        """The client's class, its credentials and options. Blocks."""

    async def _client(self) -> Any:
        """In this loop; its imports, the connection and the credentials are read in a thread."""
        client_class, credentials, options = await asyncio.to_thread(self.prepared)
        return client_class(credentials=credentials, client_options=options)
