"""Things that many coroutines of one event loop share: made with the first user, ended with the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class _Entry(Generic[Value]):
    def __init__(self, making: asyncio.Task[Value]) -> None:
        self.making = making
        self.users = 0


class Shared(Generic[Key, Value]):
    """One ``Value`` for each key and running loop.

    :param make: makes the value; where it raises, so does each :meth:`use` until the last of them has ended.
    :param end: ends a value that was made. A new one may be made of the same key meanwhile.
    """

    def __init__(self, make: Callable[[Key], Awaitable[Value]], end: Callable[[Value], Awaitable[None]]) -> None:
        self._make, self._end = make, end
        self._entries: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Key, _Entry[Value]]] = WeakKeyDictionary()

    @asynccontextmanager
    async def use(self, key: Key) -> AsyncIterator[Value]:
        entries = self._entries.setdefault(asyncio.get_running_loop(), {})
        entry = entries.get(key)
        if entry is None:
            entry = entries[key] = _Entry(asyncio.create_task(self._made(key)))
        entry.users += 1
        try:
            # Shielded: one user's end must not end the making for the others.
            yield await asyncio.shield(entry.making)
        finally:
            entry.users -= 1
            if not entry.users:
                del entries[key]
                await self._ended(entry.making)

    async def _made(self, key: Key) -> Value:
        return await self._make(key)

    async def _ended(self, making: asyncio.Task[Value]) -> None:
        if not making.done():
            making.cancel()
        elif not making.cancelled() and making.exception() is None:
            await self._end(making.result())
