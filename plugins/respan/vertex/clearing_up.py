"""Ending and deleting what a killed or a repeated task left on Google Cloud: insistently, and never silently in vain.

A task that is being killed has 60 seconds of Airflow for all of it (``killed_task_cleanup_time``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ml.errors import RespanError

#: How often it is tried where Google Cloud is in trouble, and the seconds between two tries.
TRIES = 5
SECONDS_BETWEEN_TRIES = 1.0
#: Seconds that a call which cancels may take.
CANCEL_SECONDS = 10.0

_log = logging.getLogger(__name__)


def clear_up(do: Callable[[], None], left: str) -> None:
    """Calls ``do``, which may be repeated, until it succeeds, fails in a way that no retry mends, or fails too often.

    Raises no ``RespanError``: what is ``left`` then, and how a person ends it, is told in the log behind the error.
    """
    for more in reversed(range(TRIES)):
        try:
            do()
            return
        except RespanError as error:
            if not more or not error.retryable:
                _log.error("%s; %s", error, left)
                return
            _log.warning("%s", error)
        time.sleep(SECONDS_BETWEEN_TRIES)
