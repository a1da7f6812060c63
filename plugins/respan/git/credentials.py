"""What an Airflow connection says about a git remote."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ml.errors import SettingsError
from respan.git.remote import Remote, Transport, git_environment

#: What GitHub, GitLab and others take for the name beside a token, where the connection has none.
_ANY_NAME = "user"
_HOST_KEY_CHECKS = ("yes", "accept-new", "no")
_UNSUPPORTED = {
    "private_key_passphrase": "store the key without a passphrase: Airflow encrypts the connection",
    "host_proxy_cmd": "write ProxyJump into the file that ssh_config_file names",
    "github_app_id": "put a token into the connection's password",
}
_SSH = Path(__file__).with_name("ssh.py")


class Connection(Protocol):
    """The parts of an Airflow connection that are read."""

    login: str | None
    password: str | None

    @property
    def extra_dejson(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Credentials:
    """Name and password for HTTP, or a key and a way for SSH. Its ``repr`` shows no secret."""

    login: str = ""
    password: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    key_file: str = ""
    host_key_check: str = "yes"
    known_hosts_file: str = ""
    ssh_config_file: str = ""
    ssh_port: int | None = None

    @property
    def secrets(self) -> list[str]:
        """All that must be seen nowhere, in each form it takes."""
        header = [self._basic()] if self.password else []
        return [secret for secret in (self.password, self.private_key, *header) if secret]

    def environment(self, remote: Remote, agent: Path | None) -> dict[str, str]:
        """git's environment for ``remote`` with these credentials; ``agent``: the ssh-agent that has the key."""
        if remote.transport is Transport.SSH:
            return {**git_environment(remote), **self._ssh_environment(agent)}
        if remote.transport is Transport.HTTP and self.password:
            header = f"Authorization: Basic {self._basic()}"
            return git_environment(remote, {f"http.{remote.origin}.extraHeader": header})
        return git_environment(remote)

    def _basic(self) -> str:
        return base64.b64encode(f"{self.login or _ANY_NAME}:{self.password}".encode()).decode()

    def _ssh_environment(self, agent: Path | None) -> dict[str, str]:
        options = [
            *("-oBatchMode=yes", "-oConnectTimeout=30", "-oServerAliveInterval=15", "-oServerAliveCountMax=4"),
            *("-oControlMaster=no", "-oControlPath=none", "-oClearAllForwardings=yes", "-oForwardAgent=no"),
            *("-oForwardX11=no", "-oPermitLocalCommand=no"),
            f"-oStrictHostKeyChecking={self.host_key_check}",
        ]
        if self.known_hosts_file:
            options.append(f"-oUserKnownHostsFile={self.known_hosts_file}")
        if self.ssh_config_file:
            options.append(f"-F{self.ssh_config_file}")
        if self.ssh_port:
            options.append(f"-p{self.ssh_port}")
        if self.key_file:
            options += [f"-i{self.key_file}", "-oIdentitiesOnly=yes", "-oIdentityAgent=none"]
        if agent is not None:
            options += ["-oIdentityFile=none", "-oIdentitiesOnly=no", f"-oIdentityAgent={agent}"]
        own_python = str(Path(sys.executable).parent)
        return {
            "GIT_SSH": str(_SSH),
            "GIT_SSH_VARIANT": "ssh",
            "RESPAN_SSH_OPTIONS": "\n".join(options),
            "PATH": os.pathsep.join([own_python, os.environ.get("PATH", os.defpath)]),
        }


def read_credentials(connection: Connection, name: str) -> Credentials:
    """The credentials in the Airflow connection ``name``. Raises ``SettingsError`` naming the field that can't be."""
    extras: Mapping[str, Any] = connection.extra_dejson
    for key, instead in _UNSUPPORTED.items():
        if extras.get(key):
            raise SettingsError(f"connection {name}: {key} is not supported: {instead}")
    texts = {key: _text(name, key, extras.get(key)) for key in ("private_key", "key_file")}
    if all(texts.values()):
        raise SettingsError(f"connection {name}: give key_file or private_key in its extras, not both")
    return Credentials(
        login=connection.login or "",
        password=connection.password or "",
        private_key=texts["private_key"],
        key_file=_file(name, "key_file", texts["key_file"]),
        host_key_check=_host_key_check(name, extras.get("strict_host_key_checking", "yes")),
        known_hosts_file=_file(name, "known_hosts_file", extras.get("known_hosts_file")),
        ssh_config_file=_file(name, "ssh_config_file", extras.get("ssh_config_file")),
        ssh_port=_port(name, extras.get("ssh_port")),
    )


def _text(name: str, key: str, value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    raise SettingsError(f"connection {name}: {key} in its extras must be text")


def _file(name: str, key: str, value: Any) -> str:
    text = _text(name, key, value)
    if not text:
        return ""
    path = Path(text).expanduser()
    if not path.is_absolute() or not os.access(path, os.R_OK) or any(letter in text for letter in "\n\"'%"):
        raise SettingsError(f"connection {name}: {key}: there is no file {text!r} that can be read; give its full path")
    return str(path)


def _host_key_check(name: str, value: Any) -> str:
    text = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
    if text == "off":
        return "no"
    if text not in _HOST_KEY_CHECKS:
        raise SettingsError(f"connection {name}: strict_host_key_checking must be one of {', '.join(_HOST_KEY_CHECKS)}")
    return str(text)


def _port(name: str, value: Any) -> int | None:
    if value in (None, ""):
        return None
    try:
        port = int(value)
    except (TypeError, ValueError):
        port = 0
    if not 0 < port < 65536:
        raise SettingsError(f"connection {name}: ssh_port must be a number from 1 to 65535")
    return port
