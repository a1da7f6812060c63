"""What Cloud Storage's refusals mean: worth another try or not, and what a user is told."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

from ml.errors import ConflictError, NotFoundError, RespanError, StorageError

#: 410: the session of an upload in pieces is gone; the upload starts anew.
_TRANSIENT = {408, 410, 429, 500, 502, 503, 504}
_DENIED = re.compile(r"(\S+) does not have (storage\.[\w.]+) access")
_PERMISSION = re.compile(r"storage\.\w+\.\w+")
_LONGEST = 300


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed in a moment: rate limits, trouble at the server, dropped connections."""
    import requests
    import urllib3
    from google.auth.exceptions import RefreshError, TransportError

    dropped = (
        ConnectionError,
        TransportError,
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        urllib3.exceptions.HTTPError,
    )
    if isinstance(error, RefreshError):
        return bool(error.retryable)
    return isinstance(error, dropped) or status(error) in _TRANSIENT


def status(error: BaseException) -> int | None:
    """The HTTP status of a refusal, None where the server never answered."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError

    if isinstance(error, RetryError) and error.cause is not None:
        return status(error.cause)
    if isinstance(error, GoogleAPICallError) and error.code is not None:
        return int(error.code)
    # The library's own transfers raise what holds the answer, before that is made an API error.
    found = getattr(getattr(error, "response", None), "status_code", None)
    return None if found is None else int(found)


def refusal(error: Exception, action: str, uri: str) -> RespanError:
    """What a user is told of ``error``, which ended the attempt to ``action`` ("read", "write", …) ``uri``.

    ``ConflictError`` for a precondition that doesn't hold, ``NotFoundError`` for an object that isn't there, else
    ``StorageError``.
    """
    code = status(error)
    said = _said(error)
    if code == 412:
        return ConflictError(f"{uri} was changed by somebody else")
    if code == 404 and "bucket does not exist" not in said:
        return NotFoundError(f"{uri} is not there")
    bucket = uri.removeprefix("gs://").partition("/")[0]
    return StorageError(f"can't {action} {uri}: {_cause(error, code, said, bucket)}")


def _cause(error: Exception, code: int | None, said: str, bucket: str) -> str:
    from google.api_core.exceptions import RetryError
    from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError

    if isinstance(error, RetryError) and isinstance(error.cause, Exception):
        error = error.cause
    if code == 404:
        return f"the bucket {bucket} does not exist: create it, or correct RESPAN_STORAGE"
    if code == 401 or (isinstance(error, RefreshError) and "fields need to refresh" in str(error)):
        return (
            "the credentials are not valid or have expired: a retry gets new ones where Airflow gives them, else log in"
        )
    if isinstance(error, GoogleAuthError) and not isinstance(error, TransportError):
        return f"the credentials can't be renewed: check the service account or log in again ({said})"
    if code == 403:
        return _denied(said, bucket)
    if code == 429:
        return "Cloud Storage limits the rate of requests: retry later, or raise the project's quota"
    if code == 400 and ("crc32c" in said.lower() or "checksum" in said.lower()):
        return "the content was damaged on its way: retry"
    if code is not None and code >= 500:
        return f"Cloud Storage is in trouble ({code}): retry later"
    if code is None and type(error).__name__ == "DataCorruption":
        return "the content was damaged on its way: retry"
    if is_transient(error):
        return f"Cloud Storage can't be reached: check the network and the proxy, then retry ({type(error).__name__})"
    return said


def _denied(said: str, bucket: str) -> str:
    if "rate" in said.lower() or "quota" in said.lower():
        return f"a quota of the project is used up: retry later, or raise it ({said})"
    found = _DENIED.search(said)
    permission = _PERMISSION.search(said)
    if found is None and permission is None:
        return f"permission denied on bucket {bucket}: {said}"
    who = found[1] if found else "the account that runs this"
    what = found[2] if found else permission[0] if permission else ""
    return f"permission denied: grant {who} roles/storage.objectUser on bucket {bucket} (it lacks {what.rstrip('.')})"


def _said(error: BaseException) -> str:
    """The server's own words, on one line."""
    from google.api_core.exceptions import RetryError

    if isinstance(error, RetryError) and error.cause is not None:
        error = error.cause
    response: Any = getattr(error, "response", None)
    text = getattr(response, "text", None) or getattr(error, "message", None) or str(error)
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = json.loads(text)["error"]["message"]
    line = " ".join(str(text).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
