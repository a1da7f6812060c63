"""The head of a branch, asked of real remotes; and each way a remote can fail, told in one line."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from respan.git import process, remote
from respan.git.process import GitFailedError
from respan.hooks import git as hook_module
from respan.hooks.git import GitRemoteHook

from ml.errors import MissingEnvironmentError, RespanError, SettingsError
from tests.dags.git.http_server import GitServer, serving
from tests.dags.git.repositories import Repository


def told(address: str | Path, branch: str = "main", connection: str | None = None) -> str:
    """The error's one line; asked for in both ways, which must agree."""
    both_ways: tuple[Callable[[], str], ...] = (
        lambda: GitRemoteHook(str(address), connection).head(branch),
        lambda: asyncio.run(GitRemoteHook(str(address), connection).head_async(branch)),
    )
    messages = []
    for ask in both_ways:
        with pytest.raises(RespanError) as raised:
            ask()
        messages.append(f"{type(raised.value).__name__}: {raised.value}")
    assert messages[0] == messages[1]
    assert "\n" not in messages[0]
    return messages[0]


def test_a_servers_words_move_no_cursor_where_they_are_read() -> None:
    failed = GitFailedError("fetch", 128, "remote: \x1b[2Jgone\nfatal: \x1b]0;title\x07not\x08 here\n")
    assert failed.reason == "]0;titlenot here"


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_the_head_of_a_branch(repository: Repository, prefix: str) -> None:
    first = repository.push({"a": "1"})
    other = repository.push({"a": "2"}, branch="feature/x")
    hook = GitRemoteHook(f"{prefix}{repository.bare}")
    assert hook.head("main") == first
    assert asyncio.run(hook.head_async("feature/x")) == other


def test_a_branch_that_only_ends_alike_is_another_one(repository: Repository) -> None:
    repository.push({"a": "1"}, branch="old/refs/heads/main")
    assert "has no branch 'main'" in told(repository.bare)


def test_a_branch_that_does_not_exist(repository: Repository) -> None:
    repository.push({"a": "1"})
    assert told(repository.bare, "absent").startswith(f"NotFoundError: {repository.bare} has no branch 'absent'")


def test_an_empty_repository(repository: Repository) -> None:
    assert told(repository.bare).startswith(f"NotFoundError: {repository.bare} is empty")


def test_a_path_without_a_repository(tmp_path: Path) -> None:
    assert told(tmp_path).startswith(f"RemoteError: {tmp_path} is no git repository")
    assert told(tmp_path / "absent").startswith(f"RemoteError: {tmp_path}/absent is no git repository")


def test_a_name_that_is_no_branchs(repository: Repository) -> None:
    for branch in ("--upload-pack=touch", "a b", "refs/*", ""):
        assert "can't name a branch" in told(repository.bare, branch)


@pytest.mark.parametrize(
    "address",
    ["ext::sh -c 'touch x'", "-oProxyCommand=x", "relative/path", "https://a:b@h/x", "ftp://host/x", "a\nb:c"],
)
def test_what_is_no_address_is_refused_before_git_sees_it(address: str) -> None:
    with pytest.raises(SettingsError, match=r"^ci_cd\.remote: "):
        GitRemoteHook(address)


def test_a_host_that_refuses_connections() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x.git"
    assert told(url).startswith(f"RemoteError: can't reach {url}: ")


def test_loopback_is_asked_without_a_proxy(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    revision = repository.push({"a": "1"})
    with serving(GitServer(repository.bare.parent)) as server:
        assert GitRemoteHook(f"{server.url}/remote.git").head("main") == revision


def test_a_server_that_does_not_know_the_repository(repository: Repository) -> None:
    with serving(GitServer(repository.bare.parent)) as server:
        assert "absent.git is no git repository" in told(f"{server.url}/absent.git")


def test_a_server_that_asks_for_a_password(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    revision = repository.push({"a": "1"})
    monkeypatch.setenv("AIRFLOW_CONN_RIGHT", '{"conn_type": "git", "login": "robot", "password": "pass:wörd"}')
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", '{"conn_type": "git", "login": "robot", "password": "wrong-one"}')
    with serving(GitServer(repository.bare.parent, login="robot:pass:wörd")) as server:
        url = f"{server.url}/remote.git"
        assert GitRemoteHook(url, "right").head("main") == revision
        assert asyncio.run(GitRemoteHook(url, "right").head_async("main")) == revision
        for connection in (None, "wrong"):
            message = told(url, connection=connection)
            assert message.startswith(f"RemoteError: {url} refused the credentials")
            assert "wrong-one" not in message
        assert "Airflow has no connection 'absent'" in told(url, connection="absent")


def test_credentials_do_not_follow_a_redirect(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.push({"a": "1"})
    monkeypatch.setenv("AIRFLOW_CONN_RIGHT", '{"conn_type": "git", "password": "secret"}')
    with (
        serving(GitServer(repository.bare.parent)) as elsewhere,
        serving(GitServer(repository.bare.parent, redirect=elsewhere.url)) as server,
    ):
        assert "redirects elsewhere" in told(f"{server.url}/remote.git", connection="right")
        assert server.authorizations[0] is not None
        assert elsewhere.requests == []


def test_a_server_that_never_answers_is_given_up(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_module, "HEAD_SECONDS", 0.5)
    monkeypatch.setitem(remote.SETTINGS, "http.lowSpeedTime", "3600")  # git itself is patient
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert "gave no answer in time" in told(f"http://127.0.0.1:{silent.getsockname()[1]}/x.git")
    assert children_named_git() == []


def test_cancelling_kills_git_and_leaves_the_loop_free_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_module, "HEAD_SECONDS", 3600)
    monkeypatch.setitem(remote.SETTINGS, "http.lowSpeedTime", "3600")

    async def ask() -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.git"
            asking = asyncio.create_task(GitRemoteHook(url).head_async("main"))
            while not children_named_git():
                await asyncio.sleep(0.001)
            assert not asking.done()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(ask())
    assert children_named_git() == []


def test_a_machine_without_git_or_with_an_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process.check_git.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingEnvironmentError, match=r"install git 2\.31 or newer"):
        GitRemoteHook("/x").head("main")
    with pytest.raises(MissingEnvironmentError, match=r"install git 2\.31 or newer"):
        asyncio.run(GitRemoteHook("/x").head_async("main"))
    old = tmp_path / "git"
    old.write_text("#!/bin/sh\necho git version 2.30.2\n")
    old.chmod(0o755)
    with pytest.raises(MissingEnvironmentError, match=r"git version 2\.30\.2 is too old"):
        GitRemoteHook("/x").head("main")


def test_neither_the_users_nor_the_systems_settings_reach_git(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = repository.push({"a": "1"})
    (tmp_path / ".gitconfig").write_text(f'[url "/nowhere/"]\n\tinsteadOf = {repository.bare}\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / ".gitconfig"))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    hook = GitRemoteHook(str(repository.bare))
    assert hook.head("main") == revision
    assert not (tmp_path / "trace").exists()
    with hook.environment() as environment:
        assert "secret" not in environment.values()


def children_named_git() -> list[str]:
    """This process's git children; one that ends just now is given a moment."""
    for _ in range(100):
        listed = subprocess.run(
            ["ps", "--ppid", str(os.getpid()), "-o", "comm="], capture_output=True, text=True, check=False
        ).stdout.split()
        found = [name for name in listed if name.startswith("git")]
        if not found:
            break
        time.sleep(0.001)
    return found
