"""Who this process is to Cloud Storage.

In order: nobody, where ``STORAGE_EMULATOR_HOST`` names an emulator; what :func:`set_credentials` set; the access token
in the environment, which a command is given by its caller for as long as it runs; Application Default Credentials.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from ml.errors import StorageError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

#: A bearer token that lives an hour or less. A secret: it is in no message, and it is never written anywhere.
ACCESS_TOKEN = "RESPAN_ACCESS_TOKEN"  # noqa: S105 (the variable's name)
EMULATOR = "STORAGE_EMULATOR_HOST"
KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)

Source = Callable[[], "Credentials | None"]

_source: Source | None = None


def set_credentials(source: Source | None) -> None:
    """Makes ``source`` the origin of this process's credentials; None takes the last one back.

    ``source`` is asked when the next client is made, not before, and again for each ``source`` that is set. Where it
    answers None, the environment decides.
    """
    global _source
    _source = source


def identity() -> tuple[object, ...]:
    """What :func:`credentials` depends on: while it is equal, credentials that were found before stay good."""
    return _source, *(os.environ.get(name) for name in (ACCESS_TOKEN, EMULATOR, KEY_FILE))


def credentials() -> Credentials:
    """The credentials to use now. Raises ``StorageError`` where there are none."""
    import google.auth
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2.credentials import Credentials as Token

    if os.environ.get(EMULATOR):
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    found = _source() if _source else None
    if found is not None:
        return found
    if token := os.environ.get(ACCESS_TOKEN):
        return Token(token)  # type: ignore[no-untyped-call]
    try:
        return google.auth.default(scopes=SCOPES)[0]
    except GoogleAuthError as error:
        raise StorageError(
            "there are no credentials for Google Cloud: give Airflow's connection some, or run "
            "`gcloud auth application-default login`, or name a key file in GOOGLE_APPLICATION_CREDENTIALS"
        ) from error
