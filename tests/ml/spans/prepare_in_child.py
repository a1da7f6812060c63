"""Run by tests as a program: prepares a span in forked children, which can be killed or weighed.

``crash ROOT`` kills a child with SIGKILL before its first, its second, … lasting change on disk, each in a storage of
its own below ROOT, and prepares again after each kill. ``weigh ROOT`` prints a child's peak memory for its inbox.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow  # noqa: F401 (once, before the forks, which would each take seconds for it)
from PIL import Image

from ml import layout, windows
from ml.claims import held_number
from ml.freezing import freeze
from ml.settings import Settings
from ml.spans import preparation
from ml.storage import Storage, open_storage

SETTINGS = Settings(name="digits", kind="image_classification")
LASTING = ("fsync", "rename", "replace", "link")


def in_child(work: Callable[[], None]) -> int:
    """The wait status of a forked child that did ``work``."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)
    return os.waitpid(child, 0)[1]


def die_before_change(number: int) -> None:
    """This process kills itself before its ``number``-th lasting change on disk."""
    left = [number]

    def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return call

    for name in LASTING:
        setattr(os, name, guarded(getattr(os, name)))


def fill(storage: Storage, count: int, side: int) -> str:
    generator = np.random.default_rng(3)
    for number in range(count):
        file = Path(storage.uri(layout.INBOX)) / str(number % 3) / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        encoded = io.BytesIO()
        Image.fromarray(generator.integers(0, 256, (side, side, 3)).astype(np.uint8)).save(encoded, "PNG")
        file.write_bytes(encoded.getvalue())
    (Path(storage.uri(layout.INBOX)) / "0" / "broken.png").write_bytes(b"broken")
    return freeze(storage, SETTINGS, "run").id


def crash(root: str) -> None:
    for number in range(1, 1000):
        storage = open_storage(f"file://{root}/{number}")
        batch = fill(storage, 20, 8)

        def attempt(deadly: int | None, storage: Storage = storage, batch: str = batch) -> None:
            if deadly:
                die_before_change(deadly)
            preparation.prepare(storage, SETTINGS, batch)

        killed = os.WIFSIGNALED(in_child(lambda: attempt(number)))  # noqa: B023 (called at once)
        seen = windows.complete_spans(storage)
        retried = in_child(lambda: attempt(None))
        print(
            json.dumps(
                {"killed": killed, "seen": seen, "retried": retried, "number": held_number(storage, "spans", by=batch)}
            )
        )
        if not killed:
            return


def weigh(root: str, count: int) -> None:
    storage = open_storage(f"file://{root}")
    batch = fill(storage, count, 64)

    def work() -> None:
        preparation.prepare(storage, SETTINGS, batch)
        print(json.dumps({"peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))

    assert in_child(work) == 0


if __name__ == "__main__":
    if sys.argv[1] == "crash":
        crash(sys.argv[2])
    else:
        weigh(sys.argv[2], int(sys.argv[3]))
