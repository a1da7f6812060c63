"""What each principal may do. Everything, until a test denies it something or grants it no more than a list."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock


class Permissions:
    """Permissions by principal, each the e-mail address of a service account."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._denied: dict[str, set[str]] = {}
        self._granted: dict[str, set[str]] = {}

    def deny(self, principal: str, *permissions: str) -> None:
        """From now on ``principal`` lacks these."""
        with self._lock:
            self._denied.setdefault(principal, set()).update(permissions)

    def allow(self, principal: str, *permissions: str) -> None:
        """Take back a ``deny``."""
        with self._lock:
            self._denied.get(principal, set()).difference_update(permissions)

    def grant_only(self, principal: str, permissions: Iterable[str]) -> None:
        """``principal`` has these and no others."""
        with self._lock:
            self._granted[principal] = set(permissions)

    def clear(self) -> None:
        """Everybody may do everything again."""
        with self._lock:
            self._denied.clear()
            self._granted.clear()

    def allows(self, principal: str, permission: str) -> bool:
        """Whether ``principal`` has ``permission``; an empty one needs none."""
        with self._lock:
            granted = self._granted.get(principal)
            denied = self._denied.get(principal, set())
            return not permission or (permission not in denied and (granted is None or permission in granted))
