"""What Google's clients raise, as the error that a user understands: cause and remedy, and whether a retry can help."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ml.errors import ConflictError, NotFoundError, RemoteError, RespanError, SettingsError

#: Name of an error of ``google.api_core.exceptions`` → what to be told, and what to do.
_PERMANENT: dict[str, tuple[type[RespanError], str]] = {
    "PermissionDenied": (
        SettingsError,
        "grant the connection's account that permission: docs/google-cloud.md lists them",
    ),
    "Forbidden": (SettingsError, "grant the connection's account that permission: docs/google-cloud.md lists them"),
    "Unauthenticated": (SettingsError, "the connection's credentials are refused: renew them"),
    "Unauthorized": (SettingsError, "the connection's credentials are refused: renew them"),
    "InvalidArgument": (SettingsError, "mend what it names in the pipeline's settings under vertex"),
    "BadRequest": (SettingsError, "mend what it names in the pipeline's settings under vertex"),
    "FailedPrecondition": (SettingsError, "mend what it names, then clear this task"),
    "NotFound": (
        NotFoundError,
        "it was deleted, or project or region are other ones: look at vertex.project and vertex.region",
    ),
    "AlreadyExists": (ConflictError, "something else has that name already"),
}
_QUOTA = "the quota is used up or the rate limited: wait, or ask for more quota in the Google Cloud console"


def told(error: Exception, doing: str) -> RespanError:
    """``error`` of Google's client libraries in one line; ``doing`` says what was tried, as in "submit the run"."""
    message = " ".join(str(getattr(error, "message", None) or error).split())
    for kind in (base.__name__ for base in type(error).__mro__):
        if kind in _PERMANENT:
            respan_error, remedy = _PERMANENT[kind]
            return respan_error(f"can't {doing}: {message}: {remedy}")
        if kind in ("ResourceExhausted", "TooManyRequests"):
            return RemoteError(f"can't {doing}: {message}: {_QUOTA}")
    return RemoteError(
        f"can't {doing}: {type(error).__name__}: {message}: Google Cloud is in trouble, or can't be "
        "reached: a retry goes on from here"
    )


@contextlib.contextmanager
def google_errors(doing: str) -> Iterator[None]:
    """Raises what Google's client libraries raise as :func:`told` tells it."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except (GoogleAPIError, GoogleAuthError) as error:
        raise told(error, doing) from error
