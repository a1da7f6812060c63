"""A GitHub on loopback with one repository, one commit, and tokens of several kinds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.dags.commit_status.github_double import GitHubDouble, Token, github_double

REPOSITORY = "team/models"
REVISION = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
TOKEN = "ghp_made0up0for0tests"

Connect = Callable[..., None]


@pytest.fixture
def github() -> Iterator[GitHubDouble]:
    with github_double() as double:
        double.commits[REPOSITORY] = {REVISION}
        double.tokens = {
            TOKEN: Token((REPOSITORY,)),
            "reads": Token((REPOSITORY,), may_write=False),
            "of another": Token(("team/website",)),
        }
        yield double


@pytest.fixture
def connect(github: GitHubDouble, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Defines a connection of type GitHub in the environment, as an operator of Airflow may."""

    def defined(
        token: str = TOKEN,
        *,
        host: str | None = None,
        name: str = "github_default",
        extra: dict[str, str] | None = None,
    ) -> None:
        document = {"conn_type": "github", "password": token, "host": host or github.api, "extra": extra or {}}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(document))

    return defined
