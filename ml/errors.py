"""The errors a user may meet. Each message is one line: what was wrong, where, and what to do.

The command line prints the message without a stack trace and exits with ``exit_code``; Airflow's side reads the exit
code to decide whether a retry can help.
"""

from __future__ import annotations


class RespanError(Exception):
    """Base of every error that Respan raises on purpose."""

    exit_code = 1
    #: Whether the same call may succeed later without anybody changing anything.
    retryable = False


class SettingsError(RespanError):
    """A settings file, an environment variable or a command's argument is not valid."""

    exit_code = 2


class DataError(RespanError):
    """The data can't be used: nothing usable in it, too many refused samples, anomalies against the schema."""

    exit_code = 3


class ConflictError(RespanError):
    """Somebody else holds what was asked for: another open batch, a document changed in between."""

    exit_code = 4


class NotFoundError(RespanError):
    """What was named does not exist: a pipeline, a batch, a span, a version, an object."""

    exit_code = 5


class StorageError(RespanError):
    """Storage refused: unreachable, read-only, full, or an object vanished while it was being used."""

    exit_code = 6
    retryable = True


class MissingEnvironmentError(RespanError):
    """TFX's environment, or a part of it, is not installed."""

    exit_code = 7


class ComponentError(RespanError):
    """A TFX component failed; the message names it."""

    exit_code = 8
    retryable = True


class RemoteError(RespanError):
    """A remote service, such as a git remote, can't be reached or is in trouble."""

    exit_code = 9
    retryable = True


class CodeError(RespanError):
    """The code under test is at fault: it doesn't import, a test fails, its model is not blessed."""

    exit_code = 10


class KilledError(RespanError):
    """Code under test was killed, and not by its sandbox: memory ran out on the machine, or somebody did it."""

    exit_code = 11
    retryable = True


ERRORS_BY_EXIT_CODE: dict[int, type[RespanError]] = {
    kind.exit_code: kind
    for kind in (
        SettingsError,
        DataError,
        ConflictError,
        NotFoundError,
        StorageError,
        MissingEnvironmentError,
        ComponentError,
        RemoteError,
        CodeError,
        KilledError,
    )
}
