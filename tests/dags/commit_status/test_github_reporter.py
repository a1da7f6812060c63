"""Commit statuses through the provider's own hook and PyGithub, against a GitHub on loopback."""

from __future__ import annotations

import logging
import socket
from typing import Any

import pytest
from respan.commit_status import CommitState
from respan.commit_status.github import GitHubReporter, shortened

from ml.errors import NotFoundError, RemoteError, RespanError, SettingsError
from tests.dags.commit_status import github_double as doubles
from tests.dags.commit_status.conftest import REPOSITORY, REVISION, TOKEN, Connect
from tests.dags.commit_status.github_double import Fault, GitHubDouble

URL = "http://airflow.example/dags/flowers.ci_cd/runs/one"


def report(
    github: GitHubDouble,
    state: CommitState = CommitState.PENDING,
    description: str = "running",
    *,
    remote: str | None = None,
    connection: str | None = None,
    revision: str = REVISION,
) -> None:
    reporter = GitHubReporter(remote or github.remote(REPOSITORY), connection, context="respan/flowers")
    reporter.report(revision, state, description, URL)


def refused(github: GitHubDouble, **kwargs: Any) -> RespanError:
    """The error that reporting ends with: one line, without the token."""
    with pytest.raises(RespanError) as raised:
        report(github, **kwargs)
    assert "\n" not in str(raised.value)
    assert TOKEN not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    return raised.value


@pytest.mark.parametrize("state", list(CommitState))
def test_every_state_arrives_with_its_context_description_and_link(
    github: GitHubDouble, connect: Connect, state: CommitState
) -> None:
    connect()
    report(github, state, "failed at verify.test")
    assert github.statuses == [
        {
            "repository": REPOSITORY,
            "sha": REVISION,
            "state": state.value,
            "context": "respan/flowers",
            "description": "failed at verify.test",
            "target_url": URL,
        }
    ]


def test_a_report_is_one_request(github: GitHubDouble, connect: Connect) -> None:
    connect()
    report(github)
    assert github.requests == 1


def test_reporting_again_changes_nothing_that_shows(github: GitHubDouble, connect: Connect) -> None:
    connect()
    github.faults = [doubles.DROPPED_AFTER_IT_ACTED]
    assert isinstance(refused(github, state=CommitState.SUCCESS, description="done"), RemoteError)
    shown = github.shown(REVISION)
    report(github, CommitState.SUCCESS, "done")
    assert github.shown(REVISION) == shown == {"respan/flowers": ("success", "done")}


@pytest.mark.parametrize("description", ["x" * 141, "two\nlines\r\n" + "of text " * 40, "a 🐛 in " + "🌻" * 200])
def test_a_description_is_cut_to_what_github_takes(github: GitHubDouble, connect: Connect, description: str) -> None:
    connect()
    report(github, description=description)
    [status] = github.statuses
    assert len(status["description"]) == 140
    assert status["description"].endswith("…")
    assert "\n" not in status["description"]


def test_a_short_description_stays_as_it_is() -> None:
    assert shortened("x" * 140) == "x" * 140
    assert shortened("größer – schöner") == "größer – schöner"


def test_the_settings_name_the_connection(github: GitHubDouble, connect: Connect) -> None:
    connect(name="ours")
    report(github, connection="ours")
    assert github.statuses
    told = refused(github, connection="theirs")
    assert isinstance(told, SettingsError)
    assert "no Airflow connection 'theirs'" in str(told)


def test_a_mirror_is_told_its_repository_by_the_connection(github: GitHubDouble, connect: Connect) -> None:
    connect(extra={"repository": REPOSITORY})
    report(github, remote="/srv/mirrors/models.git")
    assert [status["repository"] for status in github.statuses] == [REPOSITORY]
    connect(extra={"repository": "../../user"})
    assert "must be owner/repository" in str(refused(github, remote="/srv/mirrors/models.git"))


def test_a_path_alone_names_no_repository(github: GitHubDouble, connect: Connect) -> None:
    connect()
    assert "put 'repository'" in str(refused(github, remote="/srv/mirrors/models.git"))


def test_no_status_goes_to_a_namesake_on_another_host(github: GitHubDouble, connect: Connect) -> None:
    connect()
    told = refused(github, remote=f"git@ghe.example:{REPOSITORY}.git")
    assert isinstance(told, SettingsError)
    assert "https://ghe.example/api/v3" in str(told)
    assert github.requests == 0


@pytest.mark.parametrize(
    ("token", "kind", "words"),
    [
        ("revoked", SettingsError, "refuses the token"),
        ("reads", SettingsError, "'repo:status'"),
        ("of another", NotFoundError, "'repo:status'"),
    ],
)
def test_a_token_that_does_not_do_says_what_it_needs(
    github: GitHubDouble, connect: Connect, token: str, kind: type[RespanError], words: str
) -> None:
    connect(token)
    told = refused(github)
    assert isinstance(told, kind)
    assert not told.retryable
    assert words in str(told)


def test_a_commit_that_github_does_not_have_is_told(github: GitHubDouble, connect: Connect) -> None:
    connect()
    told = refused(github, revision="0" * 40)
    assert not told.retryable
    assert "No commit found for SHA: " + "0" * 40 in str(told)


@pytest.mark.parametrize(
    "fault",
    [
        doubles.SERVER_ERROR,
        doubles.UNAVAILABLE,
        doubles.PRIMARY_LIMIT,
        doubles.SECONDARY_LIMIT,
        doubles.TOO_MANY_REQUESTS,
        doubles.DROPPED,
    ],
)
def test_what_passes_by_itself_is_left_to_a_retry(github: GitHubDouble, connect: Connect, fault: Fault) -> None:
    connect()
    github.faults = [fault]
    assert isinstance(refused(github), RemoteError)
    assert github.requests == 1
    report(github)
    assert github.shown(REVISION) == {"respan/flowers": ("pending", "running")}


def test_a_silent_github_is_not_waited_for(
    github: GitHubDouble, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("respan.commit_status.github._TIMEOUT", 1)
    connect()
    github.faults = [Fault(seconds=2.0)]
    told = refused(github)
    assert isinstance(told, RemoteError)
    assert "ReadTimeout" in str(told)


def test_nobody_listening_is_left_to_a_retry(github: GitHubDouble, connect: Connect) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        connect(host=f"http://127.0.0.1:{closed.getsockname()[1]}/api/v3")
        assert isinstance(refused(github), RemoteError)


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_repository_that_has_moved_is_not_followed(github: GitHubDouble, connect: Connect, status: int) -> None:
    connect()
    github.faults = [Fault(status, {"message": "Moved"}, {"location": f"{github.api}/repositories/7/statuses/x"})]
    told = refused(github)
    assert not told.retryable
    assert "Correct ci_cd.remote" in str(told)
    assert github.requests == 1


def test_a_page_of_a_proxy_is_no_confirmation(github: GitHubDouble, connect: Connect) -> None:
    connect()
    github.faults = [Fault(200, "<html>Log in</html>")]
    assert "not confirmed" in str(refused(github))


def test_the_token_is_never_sent_on_to_another_host(github: GitHubDouble, connect: Connect) -> None:
    connect()
    github.faults = [Fault(301, {"message": "Moved"}, {"location": "http://other.example/api/v3/"})]
    assert "correct the host" in str(refused(github))


@pytest.mark.parametrize("host", ["ghe.example", "ftp://127.0.0.1/api/v3"])
def test_a_host_that_is_no_address_is_told_as_such(github: GitHubDouble, connect: Connect, host: str) -> None:
    connect(host=host, extra={"repository": REPOSITORY})
    assert "https://" in str(refused(github))


def test_a_connection_without_a_token_is_told(github: GitHubDouble, connect: Connect) -> None:
    connect("")
    assert "can't be used for GitHub" in str(refused(github))


def test_a_token_with_a_line_break_is_told_without_being_shown(github: GitHubDouble, connect: Connect) -> None:
    connect(f"{TOKEN}\n")
    assert "line break" in str(refused(github))


def test_no_log_holds_the_token_even_at_its_most_talkative(
    github: GitHubDouble, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    connect()
    with caplog.at_level(logging.DEBUG):
        for name in ("github", "urllib3", "requests", "airflow"):
            caplog.set_level(logging.DEBUG, name)
        report(github)
        github.faults = [doubles.SERVER_ERROR, doubles.DROPPED]
        refused(github)
        refused(github)
    assert "github.Requester" in caplog.text
    assert "Authorization" in caplog.text
    assert TOKEN not in caplog.text


def test_a_server_that_repeats_the_token_does_not_put_it_into_the_message(
    github: GitHubDouble, connect: Connect
) -> None:
    connect()
    github.faults = [Fault(500, {"message": f"the header was: token {TOKEN}"})]
    assert "***" in str(refused(github))
