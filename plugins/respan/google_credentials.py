"""Who Airflow's processes, and the commands that they start, are to Cloud Storage.

That is the Airflow connection that ``RESPAN_GOOGLE_CONNECTION`` names. Without the variable it is
``google_cloud_default``, or where there is no such connection the machine's own account (Application Default
Credentials).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ml.errors import NotFoundError
from ml.storage.credentials import set_credentials

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

#: Names the connection.
CONNECTION = "RESPAN_GOOGLE_CONNECTION"


def use_connection() -> None:
    """Lets this process's storage in ``gs://`` find its credentials here, when it first needs some. Costs nothing."""
    set_credentials(connection_credentials)


def connection_credentials() -> Credentials | None:
    """The connection's credentials; None where only the machine's own account is left. Blocks.

    Raises ``NotFoundError`` for a connection that was named and is not there, ``SettingsError`` for one that can't be
    used.
    """
    from airflow.providers.google.common.hooks.base_google import GoogleBaseHook

    from respan.vertex.connection import connection_errors
    from respan.vertex.place import DEFAULT_CONNECTION

    named = os.environ.get(CONNECTION)
    connection = named or DEFAULT_CONNECTION
    try:
        with connection_errors(connection):
            found: Credentials = GoogleBaseHook(gcp_conn_id=connection).get_credentials()
    except NotFoundError:
        if named:
            raise
        return None
    return found


def access_token() -> str | None:
    """A token of those credentials that is good for up to an hour: a secret; None for a connection that is anonymous.

    Blocks. Raises as above, and ``RemoteError`` where none can be had.
    """
    from google.auth.transport.requests import Request

    from ml.storage.credentials import credentials
    from respan.vertex.failures import google_errors

    with google_errors("get an access token for Cloud Storage"):
        found: Any = connection_credentials() or credentials()
        if not found.valid:
            found.refresh(Request())
    token: str | None = found.token
    return token
