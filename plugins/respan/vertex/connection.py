"""Errors of an Airflow connection to Google Cloud, told as its user understands them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from ml.errors import NotFoundError, SettingsError
from respan.vertex.failures import google_errors


@contextlib.contextmanager
def connection_errors(connection: str) -> Iterator[None]:
    """For what reads ``connection`` or its credentials. Raises ``NotFoundError`` where it is not there,
    ``SettingsError`` where it can't be used, ``RemoteError`` where that may pass."""
    try:
        with google_errors(f"use Airflow connection {connection!r}"):
            yield
    except AirflowNotFoundException:
        raise NotFoundError(f"there is no Airflow connection {connection!r}: add it") from None
    except AirflowException as error:
        raise SettingsError(
            f"Airflow connection {connection!r} can't be used: {' '.join(str(error).split())}"
        ) from error
