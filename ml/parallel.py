"""Threads for work that waits for storage: each request may take milliseconds, and many can be under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def map_ahead(work: Callable[[A], B], items: Iterable[A], *, threads: int = 16, ahead: int = 64) -> Iterator[B]:
    """``map(work, items)`` on a few threads: results in the items' order, at most ``ahead`` items under way or waiting.

    Memory doesn't grow with ``items``, which is taken from lazily in the caller's thread. The first error of ``work``
    is raised when its turn comes; what hasn't started by then never does, and what has is waited for.
    """
    waiting: deque[Future[B]] = deque()
    source = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="storage") as pool:
        try:
            waiting.extend(pool.submit(work, item) for item in islice(source, ahead))
            while waiting:
                done = waiting.popleft().result()
                waiting.extend(pool.submit(work, item) for item in islice(source, 1))
                yield done
        finally:
            for future in waiting:
                future.cancel()
