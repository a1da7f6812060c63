"""Which repository a remote's address means, in the forms that git takes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_SCHEMES = ("https", "http", "ssh", "git", "git+ssh", "git+https")
#: ``[user@]host:path``, which git takes for ssh unless a slash comes before the colon.
_SCP = re.compile(r"(?:[^@/:]+@)?(?P<host>[^@/:]+):(?P<path>.+)")
_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Repository:
    """``host`` in lower case, without port; ``name`` as ``owner/repository``."""

    host: str
    name: str


def repository_of(remote: str) -> Repository | None:
    """The repository at ``remote``; None for a path, or an address that doesn't end with ``owner/repository``."""
    if "://" in remote:
        parts = urlsplit(remote)
        if parts.scheme.lower() not in _SCHEMES:
            return None
        host, path = parts.hostname or "", parts.path
    elif match := _SCP.fullmatch(remote):
        host, path = match["host"], match["path"]
    else:
        return None
    name = repository_name(path)
    return Repository(host.lower(), name) if host and name else None


def repository_name(path: str) -> str | None:
    """``path`` as ``owner/repository``, without slashes around it and without ``.git``; None if it is something
    else."""
    parts = path.strip("/").removesuffix(".git").split("/")
    return "/".join(parts) if len(parts) == 2 and all(_NAME.fullmatch(part) for part in parts) else None
