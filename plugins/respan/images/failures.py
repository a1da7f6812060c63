"""What an engine's last words mean: pure, for the words of docker, podman and buildah."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ml.ci_cd.output import without_control
from ml.errors import MissingEnvironmentError, RespanError
from respan.images.credentials import registry_of
from respan.images.errors import ImageError, ImageServiceError

_UNREACHABLE = re.compile(
    r"connection refused|no such host|i/o timeout|TLS handshake|connection reset|network is unreachable"
    r"|no route to host|server misbehaving|context deadline exceeded|Client\.Timeout|unexpected EOF|toomanyrequests"
    r"|too many requests|50[0234] (\(|Internal|Bad|Service|Gateway)|service unavailable"
    r"|received unexpected HTTP status: 5|invalid status code from registry 5",
    re.IGNORECASE,
)
_NO_DAEMON = re.compile(
    r"cannot connect to the docker daemon|is the docker daemon running|unable to connect to podman"
    r"|failed to connect to the docker api",
    re.IGNORECASE,
)
_NOT_ALLOWED = re.compile(r"permission denied while trying to connect to the docker", re.IGNORECASE)
_DENIED = re.compile(r"\bdenied\b|403 \(?forbidden", re.IGNORECASE)
_UNAUTHORISED = re.compile(
    r"unauthorized|authentication required|invalid username/password|no basic auth credentials|incorrect username",
    re.IGNORECASE,
)
_LOG_LINE = re.compile(r'^time="[^"]*" level=')
_ERROR_LINE = re.compile(r"^(error|ERROR|Error): ")
_STEP = re.compile(r"\b(?:STEP|Step) (\d+/\d+) ?: ?(.+)|^#\d+ \[(?:\S+ )?(\d+/\d+)\] (.+)")
_TOLD_STEP = re.compile(r'^building at STEP "(?:[^"\\]|\\.)*": ')
_LONGEST = 500


def last_words(lines: Sequence[str]) -> str:
    """The line that tells why the engine gave up, without the warnings and tips around it."""
    told = [without_control(line).strip() for line in lines]
    said = [line for line in told if line and not _LOG_LINE.match(line)]
    errors = [line for line in said[-5:] if _ERROR_LINE.match(line)]
    line = (errors or said or ["it said nothing"])[-1]
    return _ERROR_LINE.sub("", line)[:_LONGEST]


def last_step(lines: Sequence[str]) -> str | None:
    """The Dockerfile's step that was begun last, ``2/3: RUN make``."""
    found = [match for line in lines if (match := _STEP.search(line))]
    if not found:
        return None
    number, text = (part for part in found[-1].groups() if part is not None)
    return without_control(f"{number}: {text}")[:_LONGEST]


def is_unauthorised(lines: Sequence[str]) -> bool:
    """Whether a registry refused the login; not where it may just hide that a repository doesn't exist yet."""
    said = " ".join(line for line in lines[-5:])
    return bool(_UNAUTHORISED.search(said)) and not _DENIED.search(said)


def failed(
    action: str, program: str, repository: str, connection: str | None, exit_code: int, lines: Sequence[str]
) -> RespanError:
    """The error for a command that ended with ``exit_code`` (above 128: killed by a signal).

    :param action: what it did: ``build``, ``push`` or ``pull``, or another of the engine's commands.
    """
    words = last_words(lines)
    if _NO_DAEMON.search(words):
        return ImageServiceError(f"{program} can't reach its daemon: {words}")
    if _NOT_ALLOWED.search(words):
        return MissingEnvironmentError(f"{program} may not use its daemon: {words}; let Airflow's user do so")
    if exit_code > 128:
        return ImageServiceError(f"{program} {action} was killed (exit code {exit_code}); its last words: {words}")
    if _UNREACHABLE.search(words):
        return ImageServiceError(
            f"{program} {action}: the registry of {_registry(action, repository)} can't be reached: {words}"
        )
    if action == "build":
        step = last_step(lines)
        return ImageError(f"the image can't be built: {f'step {step}: ' if step else ''}{_TOLD_STEP.sub('', words)}")
    if _UNAUTHORISED.search(words) or _DENIED.search(words):
        login = f"the login in connection {connection!r}" if connection else "to go on without a login"
        hint = "" if connection else "; name a connection with one in ci_cd.image.connection"
        return ImageError(f"{registry_of(repository)} refuses {login}: {words}{hint}")
    return ImageError(f"{program} {action} failed: {words}")


def _registry(action: str, repository: str) -> str:
    return "a base image" if action == "build" else repository
