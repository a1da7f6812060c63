"""Work in a forked child of this process, for what Python's threads can't do side by side."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_a_fork(work: Callable[[], T]) -> Callable[[], T | None]:
    """Starts ``work`` in a forked child; the returned function waits for its result (picklable), None if it failed.

    ``work`` may use plain Python and NumPy only: the threads of TensorFlow and its like are not in the child. The child
    outlives this process by no more than its work: there is nothing that it could wait for.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read_end)
            with os.fdopen(write_end, "wb") as stream:
                pickle.dump(work(), stream, pickle.HIGHEST_PROTOCOL)
            code = 0
        finally:
            # Neither the parent's clean-up nor its buffered output is the child's to do.
            os._exit(code)
    os.close(write_end)

    def result() -> T | None:
        with os.fdopen(read_end, "rb") as stream:
            data = stream.read()
        _, status = os.waitpid(child, 0)
        if status != 0:
            return None
        done: T = pickle.loads(data)  # noqa: S301 - written by our own child
        return done

    return result
