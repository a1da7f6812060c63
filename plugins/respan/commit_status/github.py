"""Commit statuses on GitHub, github.com or an Enterprise Server, through the GitHub provider's connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ml.errors import NotFoundError, RemoteError, RespanError, SettingsError
from respan.commit_status import CommitState
from respan.commit_status.repository import repository_name, repository_of

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from github import GithubException
    from github.Requester import Requester

#: The provider's own default; its module is not imported for it.
DEFAULT_CONNECTION = "github_default"

#: GitHub's limit for a status' description, in characters.
LONGEST_DESCRIPTION = 140

#: Seconds without an answer.
_TIMEOUT = 20

_PERMISSION = "'repo:status' (classic token), or 'Commit statuses: read and write' (fine-grained token, GitHub App)"


class GitHubReporter:
    """Sets commit statuses under one ``context``.

    One request for each report: GitHub keeps every one, and shows the newest of a context.

    :param remote: the git remote, which names owner and repository. For a mirror or a path, the connection's extra
        ``repository`` (``owner/repository``) names them instead.
    :param connection: the Airflow connection, of type GitHub: its password is the token, its host the API of an
        Enterprise Server (``https://<host>/api/v3``); None: ``github_default``.
    :param context: the name that the status has on GitHub.
    """

    def __init__(self, remote: str, connection: str | None, *, context: str) -> None:
        self._remote = remote
        self._connection = connection or DEFAULT_CONNECTION
        self._context = context

    def report(self, revision: str, state: CommitState, description: str, url: str | None) -> None:
        """See :class:`~respan.commit_status.CommitStatusReporter`. No message names the token."""
        connection = self._found_connection()
        repository = self._repository(connection)
        status = {"state": state.value, "context": self._context, "description": shortened(description)}
        self._post(connection, repository, revision, status | ({"target_url": url} if url else {}))

    def _found_connection(self) -> Connection:
        from airflow.sdk import BaseHook
        from airflow.sdk.exceptions import AirflowNotFoundException

        try:
            found = BaseHook.get_connection(self._connection)
        except AirflowNotFoundException:
            raise SettingsError(
                f"there is no Airflow connection {self._connection!r}: make one of type GitHub with a token that has "
                f"{_PERMISSION}, or name another with ci_cd.status_connection"
            ) from None
        if found.host and not found.host.startswith(("https://", "http://")):
            raise SettingsError(f"connection {self._connection!r}: its host must begin with https://")
        return found

    def _repository(self, connection: Connection) -> str:
        """``owner/repository``. A status never goes to a repository of that name on another host."""
        given = connection.extra_dejson.get("repository")
        if given is not None:
            if name := repository_name(str(given)):
                return name
            raise SettingsError(f"connection {self._connection!r}: its extra 'repository' must be owner/repository")
        found = repository_of(self._remote)
        if found is None:
            raise SettingsError(
                "ci_cd.remote names no repository on GitHub: put 'repository' (owner/repository) into the extra of "
                f"connection {self._connection!r}"
            )
        api = urlsplit(connection.host or "https://api.github.com").hostname or ""
        if api.removeprefix("api.") != found.host.removeprefix("ssh."):
            raise SettingsError(
                f"ci_cd.remote is on {found.host}, but connection {self._connection!r} is for {api or 'no host'}: "
                f"set its host to https://{found.host}/api/v3, or put 'repository' into its extra"
            )
        return found.name

    def _post(self, connection: Connection, repository: str, revision: str, status: dict[str, str]) -> None:
        import requests
        from github import GithubException

        requester = self._requester()
        where = f"{requester.base_url}, {repository}"
        try:
            # Not Repository.get_commit().create_status(): that reads the commit first, which takes a token that may
            # read the code.
            _, told = requester.requestJsonAndCheck("POST", f"/repos/{repository}/statuses/{revision}", input=status)
        except GithubException as error:
            raise _refusal(error, where, self._connection, revision, connection.password) from None
        except requests.exceptions.InvalidHeader:
            # requests' own message holds the header, and the token with it.
            raise SettingsError(
                f"the token of connection {self._connection!r} holds a line break or a blank: enter it anew"
            ) from None
        except requests.exceptions.RequestException as error:
            raise RemoteError(f"GitHub can't be reached ({type(error).__name__}): {where}") from None
        except (RuntimeError, AssertionError):
            raise SettingsError(
                f"GitHub has sent the request on to another address: correct the host of {self._connection!r}"
            ) from None
        finally:
            requester.close()
        # PyGithub takes a redirection for a success, and so would a proxy's page be.
        if not isinstance(told, dict) or told.get("state") != status["state"]:
            raise SettingsError(
                f"GitHub has not confirmed the status; has the repository moved? Correct ci_cd.remote: {where}"
            )

    def _requester(self) -> Requester:
        """The hook's, but one that fails at a rate limit: PyGithub would wait for up to an hour, with a worker held."""
        from airflow.providers.github.hooks.github import GithubHook
        from github import Github

        try:
            client: Any = GithubHook(github_conn_id=self._connection).client
            return Github(**{**client.requester.kwargs, "retry": None, "timeout": _TIMEOUT}).requester
        except (ValueError, OSError) as error:
            raise SettingsError(f"connection {self._connection!r} can't be used for GitHub: {error}") from None


def shortened(description: str) -> str:
    """One line of at most :data:`LONGEST_DESCRIPTION` characters, none of which takes 4 bytes: GitHub refuses
    those."""
    line = "".join(character if character <= "\uffff" else "?" for character in " ".join(description.split()))
    return line if len(line) <= LONGEST_DESCRIPTION else line[: LONGEST_DESCRIPTION - 1] + "…"


def _refusal(error: GithubException, where: str, connection: str, revision: str, token: str | None) -> RespanError:
    """What to tell of GitHub's answer, and whether a retry can help."""
    said = _said(error).replace(token or "\n", "***")
    if _limited(error):
        return RemoteError(f"GitHub's rate limit is reached: {where}: {said}")
    if error.status >= 500:
        return RemoteError(f"GitHub is in trouble ({error.status}): {where}: {said}")
    if error.status == 401:
        return SettingsError(f"GitHub refuses the token of connection {connection!r}, which may have expired: {where}")
    if error.status == 403:
        return SettingsError(f"the token of connection {connection!r} needs {_PERMISSION}: {where}: {said}")
    if error.status == 404:
        return NotFoundError(
            f"GitHub shows no such repository to the token of connection {connection!r}: check ci_cd.remote, and that "
            f"the token is for this repository, with {_PERMISSION}: {where}"
        )
    return SettingsError(f"GitHub takes no status for revision {revision} ({error.status}): {where}: {said}")


def _limited(error: GithubException) -> bool:
    """https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api, both of its limits."""
    from github import RateLimitExceededException

    headers = error.headers or {}
    return (
        error.status == 429
        or isinstance(error, RateLimitExceededException)
        or (error.status == 403 and ("retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"))
    )


def _said(error: GithubException) -> str:
    """GitHub's own words, on one short line."""
    data = error.data if isinstance(error.data, dict) else {}
    details = data.get("errors")
    words = [str(data.get("message", ""))]
    if isinstance(details, list):
        words += [str(detail.get("message", "")) if isinstance(detail, dict) else str(detail) for detail in details]
    return " ".join(" ".join(word for word in words if word).split())[:200] or "no explanation"
