"""A registry's login, handed to an engine in memory: it is in no argument, no file on a disk, and no variable."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml.errors import SettingsError

_DOCKER_HUB = "docker.io"
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"


@dataclass(frozen=True)
class RegistryLogin:
    """Login and password for ``registry``, the host (and port) that an image's name begins with."""

    registry: str
    login: str
    password: str = field(repr=False)

    def entry(self) -> dict[str, str]:
        return {"auth": base64.b64encode(f"{self.login}:{self.password}".encode()).decode()}


def registry_of(repository: str) -> str:
    """The registry's host in an image's name; ``docker.io`` where it names none, as the engines take it."""
    first, slash, _ = repository.partition("/")
    return first if slash and (first == "localhost" or set(first) & {".", ":"}) else _DOCKER_HUB


def login_from_connection(connection: str | None, repository: str) -> RegistryLogin | None:
    """Raises ``SettingsError`` for a connection that doesn't exist or lacks login or password."""
    if connection is None:
        return None
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        found = BaseHook.get_connection(connection)
    except AirflowNotFoundException:
        raise SettingsError(f"ci_cd.image.connection: there is no Airflow connection {connection!r}") from None
    if not found.login or not found.password:
        raise SettingsError(
            f"ci_cd.image.connection: connection {connection!r} needs the registry's login and password"
        )
    return RegistryLogin(registry_of(repository), found.login, found.password)


@contextlib.contextmanager
def authfile(login: RegistryLogin) -> Iterator[tuple[dict[str, str], int]]:
    """For podman and buildah (containers-auth.json(5)): variables, and the file that the engine must inherit."""
    with _in_memory({"auths": {login.registry: login.entry()}}) as file:
        yield {"REGISTRY_AUTH_FILE": f"/proc/self/fd/{file}"}, file


@contextlib.contextmanager
def docker_config(login: RegistryLogin, environment: Mapping[str, str]) -> Iterator[tuple[dict[str, str], int]]:
    """For docker: the person's own configuration, with this login in it.

    docker takes a folder. All in it are links: ``config.json`` to the file in memory, the others (contexts, plugins) to
    what they are. (``DOCKER_AUTH_CONFIG`` would do in a newer docker; 28.2 passes over it in silence.)
    """
    own = Path(environment.get("DOCKER_CONFIG") or Path(environment.get("HOME", "/")) / ".docker")
    config = _read(own / "config.json")
    config["auths"] = {
        **config.get("auths", {}),
        _DOCKER_HUB_KEY if login.registry == _DOCKER_HUB else login.registry: login.entry(),
    }
    # A store of credentials would be asked instead.
    config.pop("credsStore", None)
    config.get("credHelpers", {}).pop(login.registry, None)
    with _in_memory(config) as file, tempfile.TemporaryDirectory(prefix="respan-docker-") as folder:
        for other in own.iterdir() if own.is_dir() else ():
            if other.name != "config.json":
                (Path(folder) / other.name).symlink_to(other.absolute())
        (Path(folder) / "config.json").symlink_to(f"/proc/self/fd/{file}")
        yield {"DOCKER_CONFIG": folder}, file


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


@contextlib.contextmanager
def _in_memory(document: dict[str, Any]) -> Iterator[int]:
    file = os.memfd_create("registry-login")
    try:
        os.write(file, json.dumps(document).encode())
        yield file
    finally:
        os.close(file)
