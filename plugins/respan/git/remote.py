"""What kind of remote an address names, and git's environment for it without credentials."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from ml.errors import SettingsError


class Transport(Enum):
    """How git speaks to a remote."""

    HTTP = "http"
    SSH = "ssh"
    GIT = "git"
    LOCAL = "local"


@dataclass(frozen=True)
class Remote:
    """A remote's address, its transport, and the part of it (``https://host:port/``) that credentials hold for."""

    url: str
    transport: Transport
    origin: str = ""
    on_this_machine: bool = False


_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_HELPER = re.compile(r"^[A-Za-z0-9_+-]+::")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TRANSPORTS = {
    "http": Transport.HTTP,
    "https": Transport.HTTP,
    "ssh": Transport.SSH,
    "git": Transport.GIT,
    "file": Transport.LOCAL,
}


def parse_remote(url: str) -> Remote:
    """The remote at ``url``: ``https://…``, ``ssh://…``, ``user@host:path``, ``git://…``, ``file://…`` or a full path.

    Raises ``SettingsError``, one line, for anything else, and for a name or password in the URL.
    """
    if _CONTROL.search(url) or url.startswith("-") or _HELPER.match(url):
        raise SettingsError(f"ci_cd.remote: {url[:80]!r} is no address of a git repository")
    scheme = _SCHEME.match(url)
    if scheme is None:
        if url.startswith("/"):
            return Remote(url, Transport.LOCAL, on_this_machine=True)
        if ":" in url.split("/")[0]:
            return Remote(url, Transport.SSH)
        raise SettingsError(f"ci_cd.remote: {url!r} must be a URL, user@host:path, or a path from the root")
    transport = _TRANSPORTS.get(scheme[1].lower())
    if transport is None:
        raise SettingsError(f"ci_cd.remote: {scheme[1]}:// is not supported: use https, http, ssh, git or file")
    if transport is not Transport.HTTP:
        return Remote(url, transport, on_this_machine=transport is Transport.LOCAL)
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise SettingsError("ci_cd.remote: leave name and password out of the URL: they belong to ci_cd.connection")
    return Remote(url, transport, f"{parts.scheme}://{parts.netloc}/", _is_loopback(parts.hostname or ""))


#: All that git's processes inherit of this process's environment: Airflow's own holds keys and connections.
_KEPT = ("PATH", "TMPDIR", "USER", "LOGNAME", "TZ", "SSH_AUTH_SOCK")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH")
_PROXIES = ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")

#: In place of the system's and the user's configuration, neither of which is read.
SETTINGS: Mapping[str, str] = {
    "core.hooksPath": os.devnull,
    "core.attributesFile": os.devnull,
    "core.fsmonitor": "false",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    "fetch.unpackLimit": "1",
    "gc.auto": "0",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "60",
    "maintenance.auto": "false",
    "protocol.version": "2",
    "safe.directory": "*",
    "transfer.fsckObjects": "true",
    # What old tools wrote, and harms nobody.
    "fetch.fsck.badTimezone": "ignore",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "fetch.fsck.zeroPaddedFilemode": "ignore",
}


def git_environment(remote: Remote, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of git's processes: nobody is asked anything, and no hook, filter or helper runs.

    ``settings`` (``http.….extraHeader``, …) are added to :data:`SETTINGS`. They reach git in environment variables,
    which no other user can read, unlike its arguments.
    """
    proxies = () if remote.on_this_machine else _PROXIES
    kept = {name: os.environ[name] for name in (*_KEPT, *_CERTIFICATES, *proxies) if name in os.environ}
    environment = {
        **kept,
        "LC_ALL": "C",
        "HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file",
        "GIT_PROTOCOL_FROM_USER": "0",
    }
    pairs = {**SETTINGS, "protocol.ext.allow": "never", **(settings or {})}
    for index, (key, value) in enumerate(pairs.items()):
        environment |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return {**environment, "GIT_CONFIG_COUNT": str(len(pairs))}


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
