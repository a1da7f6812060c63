"""How an error of the model's side becomes one of Airflow's: whether a retry can help decides."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from ml.errors import ERRORS_BY_EXIT_CODE, RespanError

#: ``default_args`` of every DAG. What a retry can mend (storage, a component, a killed process) is tried again after
#: 10, 20 and 40 seconds; settings and data never are, since :class:`AirflowFailException` ends a task at once.
RETRIES: dict[str, Any] = {
    "retries": 3,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=5),
}


def failure(exit_code: int, message: str) -> AirflowException:
    """The exception for a command that ended with ``exit_code`` (see ``ml.errors``; negative: killed by that
    signal)."""
    if exit_code < 0:
        return AirflowException(f"killed by {_signal_name(-exit_code)}: {message}")
    kind = ERRORS_BY_EXIT_CODE.get(exit_code)
    if kind is None or kind.retryable:
        return AirflowException(message)
    return AirflowFailException(message)


@contextlib.contextmanager
def told_to_airflow() -> Iterator[None]:
    """Raises an error of the model's side as the one that Airflow understands, with the same one-line message."""
    try:
        yield
    except RespanError as error:
        raise (AirflowException if error.retryable else AirflowFailException)(str(error)) from None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
