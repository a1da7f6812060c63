"""The process's client of Cloud Storage: made when it is needed, shared by all threads, never by a forked child."""

from __future__ import annotations

import os
import threading
from typing import Any

from ml.storage.credentials import credentials, identity

#: Connections that are kept open: at least as many as threads ever use storage at once (see ``ml.fetching``).
_CONNECTIONS = 64

_lock = threading.Lock()
_made: tuple[tuple[object, ...], Any] | None = None


def client() -> Any:
    """A ``google.cloud.storage.Client`` for this process and its present credentials."""
    global _made
    with _lock:
        wanted = identity()
        if _made is None or _made[0] != wanted:
            _made = wanted, _make()
        return _made[1]


def _make() -> Any:
    from google.cloud.storage import Client
    from requests.adapters import HTTPAdapter

    made = Client(project=None, credentials=credentials())
    for scheme in ("https://", "http://"):
        made._http.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=_CONNECTIONS))
    return made


def _forget() -> None:
    """In a forked child: connections and locks belong to the parent's threads."""
    global _lock, _made
    _lock, _made = threading.Lock(), None


os.register_at_fork(after_in_child=_forget)
