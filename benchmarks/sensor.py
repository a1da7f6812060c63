"""(f) What the sensor lists of an inbox of a million objects before it knows that there are enough.

The listing comes in pages of a thousand names, as Cloud Storage gives them, and counts what is taken of it. (Making a
million files takes minutes and tells the same: the local storage streams its listing too.)
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.result import Result
from ml.errors import NotFoundError
from ml.inbox import count
from ml.kinds.image_classification.kind import KIND
from ml.storage import ObjectInfo

OBJECTS = 1_000_000
PAGE = 1_000
THRESHOLD = 2_500


class PagedInbox:
    """The part of a storage that the sensor uses: an inbox of :data:`OBJECTS` samples, and nothing else."""

    def __init__(self) -> None:
        self.listed = 0

    def child(self, prefix: str) -> PagedInbox:
        return self

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        for first in range(0, OBJECTS, PAGE):
            page = [
                ObjectInfo(name=f"{number % 10}/{number:07}.png", size=700, generation="1")
                for number in range(first, first + PAGE)
            ]
            self.listed += len(page)
            yield from page

    def __getattr__(self, name: str) -> Any:
        def nothing_there(*_arguments: Any, **_options: Any) -> Any:
            raise NotFoundError(f"{name}: only the inbox is there")

        return nothing_there


def measure() -> Iterator[Result]:
    """The one result, in objects listed; the ratio is to the threshold and one page."""
    inbox: Any = PagedInbox()
    begun = time.perf_counter()
    enough = count(inbox, KIND, THRESHOLD)
    seconds = time.perf_counter() - begun
    if enough != THRESHOLD:
        raise RuntimeError(f"the sensor counted {enough} of {THRESHOLD}")
    everything: Any = PagedInbox()
    begun = time.perf_counter()
    count(everything, KIND, OBJECTS + 1)
    yield Result(
        name="sensor, a million objects",
        ours=inbox.listed,
        peer=THRESHOLD + PAGE,
        ratio=inbox.listed / (THRESHOLD + PAGE),
        unit="objects listed",
        bound="<= 1",
        detail={
            "seconds": seconds,
            "threshold": THRESHOLD,
            "page": PAGE,
            "seconds_for_all": time.perf_counter() - begun,
            "listed_for_all": everything.listed,
        },
    )
