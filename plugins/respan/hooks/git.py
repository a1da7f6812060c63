"""The way to a git remote."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator, Iterator

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import amask_secret, mask_secret

from ml.ci_cd.names import check_branch
from ml.errors import NotFoundError, RemoteError, SettingsError
from respan.git.agent import agent_with
from respan.git.credentials import Credentials, read_credentials
from respan.git.failures import remote_failure
from respan.git.process import GitFailedError, run_git, run_git_async
from respan.git.remote import Transport, parse_remote

#: Longest answer to a question for a branch's head.
HEAD_SECONDS = 60.0


class GitRemoteHook(BaseHook):
    """A git remote, with the credentials of an Airflow connection.

    Of the connection these fields are used; their names are those of Airflow's own git provider:

    - ``login`` and ``password``: HTTP(S). A token is a password; where a service asks for no name, leave it empty.
    - ``key_file`` in the extras: SSH; path of a private key without a passphrase, on every machine that runs tasks.
    - ``private_key`` in the extras: SSH; the key itself, in OpenSSH's format. An ssh-agent holds it while git runs.
    - ``strict_host_key_checking``: ``yes`` (default: the server must be in known_hosts), ``accept-new`` or ``no``.
    - ``known_hosts_file``, ``ssh_config_file``: in place of the user's own; ``ssh_port``: in place of 22.

    The connection's host is not used: the settings name the remote. A password is sent to the remote's own host only,
    in a header that git gets in its environment: it is in no URL, argument or file, and masked in logs. Redirects are
    not followed.

    :param remote: URL or path (see :func:`respan.git.remote.parse_remote`). Raises ``SettingsError`` if it is neither.
    :param connection: id of the Airflow connection; None for a remote that needs no credentials.
    """

    def __init__(self, remote: str, connection: str | None = None) -> None:
        super().__init__()
        self.remote = remote
        self.connection = connection
        self._parsed = parse_remote(remote)

    @property
    def transport(self) -> Transport:
        return self._parsed.transport

    def head(self, branch: str) -> str:
        """The revision (full commit id) that ``branch`` points at.

        Raises ``NotFoundError`` where the remote has no such branch, or none at all; ``RemoteError`` where it can't be
        reached, is none, or refuses; ``SettingsError`` for the branch's name or the connection.
        """
        asking = self._asking(branch)
        with self.environment() as environment:
            question = next(asking)
            while True:
                with self._told():
                    answer = run_git(question, environment, seconds=HEAD_SECONDS)
                try:
                    question = asking.send(answer)
                except StopIteration as done:
                    return str(done.value)

    async def head_async(self, branch: str) -> str:
        """:meth:`head` for the triggerer: its loop never waits for git, and cancelling it kills git."""
        asking = self._asking(branch)
        async with self._environment_async() as environment:
            question = next(asking)
            while True:
                with self._told():
                    answer = await run_git_async(question, environment, seconds=HEAD_SECONDS)
                try:
                    question = asking.send(answer)
                except StopIteration as done:
                    return str(done.value)

    @contextlib.contextmanager
    def environment(self) -> Iterator[dict[str, str]]:
        """All of the environment of a git process that speaks to the remote, credentials included.

        It holds only within the block: for a key from the connection, an ssh-agent runs so long.
        """
        credentials = Credentials()
        if self.connection is not None:
            with _known(self.connection):
                credentials = read_credentials(self.get_connection(self.connection), self.connection)
            for secret in credentials.secrets:
                mask_secret(secret)
        with self._opened(credentials) as environment:
            yield environment

    @contextlib.asynccontextmanager
    async def _environment_async(self) -> AsyncIterator[dict[str, str]]:
        credentials = Credentials()
        if self.connection is not None:
            with _known(self.connection):
                credentials = read_credentials(await self.aget_connection(self.connection), self.connection)
            for secret in credentials.secrets:
                await amask_secret(secret)
        opened = self._opened(credentials)
        environment = await asyncio.to_thread(opened.__enter__)
        try:
            yield environment
        finally:
            await asyncio.shield(asyncio.to_thread(opened.__exit__, None, None, None))

    @contextlib.contextmanager
    def _opened(self, credentials: Credentials) -> Iterator[dict[str, str]]:
        key = credentials.private_key if self._parsed.transport is Transport.SSH else ""
        with agent_with(key) if key else contextlib.nullcontext() as agent:
            yield credentials.environment(self._parsed, agent)

    def _asking(self, branch: str) -> Generator[list[str], bytes, str]:
        """What git is asked, one call after the other, and what follows from its answers."""
        try:
            reference = f"refs/heads/{check_branch(branch)}"
        except ValueError as error:
            raise SettingsError(str(error)) from None
        # An answer without a match is told from an empty repository by a second question, asked only then.
        for line in (yield ["ls-remote", "--", self.remote, reference]).decode("utf-8", "replace").splitlines():
            revision, _, name = line.partition("\t")
            if name == reference:
                return revision
        if (yield ["ls-remote", "--heads", "--", self.remote]).strip():
            raise NotFoundError(f"{self.remote} has no branch {branch!r}: push it, or name another one")
        raise NotFoundError(f"{self.remote} is empty: push a commit to its branch {branch!r}")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except GitFailedError as failed:
            told = remote_failure(self.remote, failed)
            raise told or RemoteError(f"can't reach {self.remote}: {failed.reason}") from None


@contextlib.contextmanager
def _known(connection: str) -> Iterator[None]:
    try:
        yield
    except AirflowNotFoundException:
        raise SettingsError(
            f"Airflow has no connection {connection!r}, which ci_cd.connection names: add it, or correct the setting"
        ) from None
