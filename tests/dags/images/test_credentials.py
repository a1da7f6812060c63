"""A registry's login in memory."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from respan.images.credentials import RegistryLogin, authfile, docker_config, registry_of
from respan.images.process import engine_environment

LOGIN = RegistryLogin("r.example:5000", "robot", "secret")
ENTRY = {"auth": base64.b64encode(b"robot:secret").decode()}


@pytest.mark.parametrize(
    ("repository", "registry"),
    [
        ("r.example/team/respan", "r.example"),
        ("127.0.0.1:5000/respan", "127.0.0.1:5000"),
        ("localhost/respan", "localhost"),
        ("team/respan", "docker.io"),
        ("respan", "docker.io"),
    ],
)
def test_an_images_name_tells_its_registry(repository: str, registry: str) -> None:
    assert registry_of(repository) == registry


def test_the_authfile_is_no_file_of_a_disk_and_gone_afterwards() -> None:
    with authfile(LOGIN) as (variables, file):
        path = Path(variables["REGISTRY_AUTH_FILE"])
        assert json.loads(path.read_bytes()) == json.loads(path.read_bytes()) == {"auths": {"r.example:5000": ENTRY}}
        assert path == Path(f"/proc/self/fd/{file}")
        assert str(path.resolve()).startswith("/memfd:")
        assert not os.get_inheritable(file)
    assert not path.exists()


def test_dockers_own_configuration_stays_but_for_this_login(tmp_path: Path) -> None:
    own = tmp_path / ".docker"
    (own / "contexts").mkdir(parents=True)
    config = {
        "auths": {"other.example": {"auth": "x"}},
        "credsStore": "desktop",
        "credHelpers": {"r.example:5000": "helper", "gcr.io": "gcloud"},
        "currentContext": "far",
    }
    (own / "config.json").write_text(json.dumps(config))
    with docker_config(LOGIN, {"HOME": str(tmp_path)}) as (variables, _):
        folder = Path(variables["DOCKER_CONFIG"])
        assert json.loads((folder / "config.json").read_bytes()) == {
            "auths": {"other.example": {"auth": "x"}, "r.example:5000": ENTRY},
            "credHelpers": {"gcr.io": "gcloud"},
            "currentContext": "far",
        }
        assert all(file.is_symlink() for file in folder.iterdir())
        assert (folder / "contexts").resolve() == own / "contexts"
    assert not folder.exists()
    assert json.loads((own / "config.json").read_bytes()) == config


def test_docker_hubs_login_has_the_name_that_docker_looks_for(tmp_path: Path) -> None:
    with docker_config(RegistryLogin("docker.io", "robot", "secret"), {"HOME": str(tmp_path)}) as (variables, _):
        config = json.loads((Path(variables["DOCKER_CONFIG"]) / "config.json").read_bytes())
    assert config == {"auths": {"https://index.docker.io/v1/": ENTRY}}


def test_a_login_doesnt_show_its_password() -> None:
    assert "secret" not in repr(LOGIN)


def test_an_engine_sees_its_configuration_and_nothing_of_airflows() -> None:
    kept = {"PATH": "/bin", "https_proxy": "p", "CONTAINERS_CONF": "c", "DOCKER_HOST": "d", "XDG_RUNTIME_DIR": "/run/1"}
    left = {"AIRFLOW_CONN_X": "s", "AIRFLOW__CORE__FERNET_KEY": "s", "PYTHONPATH": "/p", "SOME_TOKEN": "s"}
    assert engine_environment({**kept, **left}) == kept
