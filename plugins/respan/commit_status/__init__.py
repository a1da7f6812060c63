"""Telling the git host how a revision fares, so that it shows at the commit and at its pull request.

What is told follows from the states of the run's tasks (:mod:`~respan.commit_status.outcome`); one module for each host
tells it: :mod:`~respan.commit_status.github`. A further host is a further module and a value of ``ci_cd.status``.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from ml.errors import SettingsError
from ml.settings import Settings


class CommitState(str, Enum):
    """How a revision fares. ``ERROR``: the run ended without a verdict on the revision."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


class CommitStatusReporter(Protocol):
    """Tells one git host. Each pipeline has a status of its own at a revision."""

    def report(self, revision: str, state: CommitState, description: str, url: str | None) -> None:
        """Sets the status of ``revision``; the newest one counts, so the same call again changes nothing.

        ``description`` is cut to what the host takes; ``url`` leads to the run. Raises ``ml.errors.RespanError``;
        ``RemoteError`` where a later try may succeed.
        """


def reporter(settings: Settings) -> CommitStatusReporter:
    """The reporter that ``ci_cd.status`` names, for ``settings``' pipeline.

    Raises ``SettingsError`` where none is wanted, or where there is no remote.
    """
    rules = settings.ci_cd
    if rules.status == "none" or rules.remote is None:
        raise SettingsError(f"pipeline {settings.name}: set ci_cd.status and ci_cd.remote to report a commit's status")
    from respan.commit_status.github import GitHubReporter

    return GitHubReporter(rules.remote, rules.status_connection, context=f"respan/{settings.name}")
