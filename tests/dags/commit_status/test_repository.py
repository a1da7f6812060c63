"""Which repository a remote means."""

from __future__ import annotations

import pytest
from respan.commit_status.repository import Repository, repository_of


@pytest.mark.parametrize(
    ("remote", "host", "name"),
    [
        ("https://github.com/team/models", "github.com", "team/models"),
        ("https://github.com/team/models.git", "github.com", "team/models"),
        ("https://GitHub.com/team/models.git/", "github.com", "team/models"),
        ("https://someone@github.com/team/models.git", "github.com", "team/models"),
        ("ssh://git@github.com/team/models.git", "github.com", "team/models"),
        ("ssh://git@ssh.github.com:443/team/models.git", "ssh.github.com", "team/models"),
        ("git@github.com:team/models.git", "github.com", "team/models"),
        ("github.com:team/models", "github.com", "team/models"),
        ("git@github.com:/team/models.git", "github.com", "team/models"),
        ("git@ghe.example:team/my.models-2.git", "ghe.example", "team/my.models-2"),
        ("https://ghe.example:8443/team/models", "ghe.example", "team/models"),
        ("git://github.com/team/models.git", "github.com", "team/models"),
    ],
)
def test_every_form_of_an_address_names_its_repository(remote: str, host: str, name: str) -> None:
    assert repository_of(remote) == Repository(host, name)


@pytest.mark.parametrize(
    "remote",
    [
        "/srv/git/models.git",
        "./team/models",
        "team/models",
        "file:///srv/team/models",
        "https://github.com/models",
        "https://github.com/team/models/tree",
        "https://github.com/team/..",
        "https://github.com/team/a%2Fb",
        "https://github.com/team/mo dels",
        "/srv/a:b/c",
        "git@github.com:models",
        "https:///team/models",
        "git@github.com:team/models\n",
    ],
)
def test_what_names_no_repository_of_an_owner_is_told_apart(remote: str) -> None:
    assert repository_of(remote) is None
