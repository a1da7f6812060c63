"""What a settings file may say of CI/CD."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ml.ci_cd_settings import CiCdSettings


@pytest.mark.parametrize(
    ("given", "key", "words"),
    [
        ({"remote": "https://someone:secret@git.example/a/b"}, "remote", "must not hold a password"),
        ({"remote": "--upload-pack=touch"}, "remote", "must be a URL or a path"),
        ({"branch": "-d"}, "branch", "can't name a branch"),
        ({"branch": "a..b"}, "branch", "can't name a branch"),
        ({"pipelines_path": "/ml"}, "pipelines_path", "must be a path inside the repository"),
        ({"pipelines_path": "ml/../.."}, "pipelines_path", "must be a path inside the repository"),
        ({"pipelines_path": "--pyargs"}, "pipelines_path", "must be a path inside the repository"),
        ({"image": {"dockerfile": "../Dockerfile"}}, "image.dockerfile", "must be a path inside the repository"),
        ({"image": {"builder": "podman"}}, "image", "needs ci_cd.image.repository"),
        ({"gates": ["ruff 'check"]}, "gates.0", "is no command"),
        ({"gates": [" "]}, "gates.0", "must name a Python module"),
        ({"limits": {"seconds": 0}}, "limits.seconds", "greater than 0"),
        ({"limit": {}}, "limit", "Extra inputs"),
    ],
)
def test_what_is_wrong_is_refused_by_key(given: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        CiCdSettings.model_validate(given)
    [error] = refused.value.errors()
    assert ".".join(map(str, error["loc"])) == key
    assert words in error["msg"]


@pytest.mark.parametrize(
    "remote", ["https://git.example/a/b.git", "git@git.example:a/b.git", "ssh://git@git.example/a", "/srv/a.git"]
)
def test_a_remote_without_a_password_is_taken(remote: str) -> None:
    assert CiCdSettings(remote=remote, pipelines_path="ml/pipelines", branch="release/1").remote == remote
