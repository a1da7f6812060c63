"""Airflow's REST API, version 2, as a user that Airflow's own sign-in knows."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Protocol

from scripts.loopback import OPENER

#: SQLite refuses a writer whose snapshot another one has overtaken, however long it would wait.
_DATABASE_TRIES = 5


class ApiError(RuntimeError):
    """The API refused: ``status`` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def rolled_back(self) -> bool:
        """Whether the database refused what the request wanted, so that it may be asked again."""
        return self.status == 500 and '"Database error"' in str(self)


class User(Protocol):
    """Who signs in. ``password`` is asked for at each sign-in."""

    @property
    def name(self) -> str: ...

    @property
    def password(self) -> str: ...


class LocalAdmin:
    """The user ``admin`` of the simple auth manager, whose password the API server writes into the file ``passwords``
    once it has started."""

    name = "admin"

    def __init__(self, passwords: Path) -> None:
        self._passwords = passwords

    @property
    def password(self) -> str:
        password: str = json.loads(self._passwords.read_text("utf-8"))[self.name]
        return password


class AirflowApi:
    """Requests to the Airflow at ``url``, as ``user``."""

    def __init__(self, url: str, user: User) -> None:
        self._url, self.user = url, user
        self._token: str | None = None

    def get(self, path: str) -> Any:
        """Asks once more where no answer comes in time: a busy machine may be slow, and asking changes nothing."""
        try:
            return self._call("GET", path)
        except TimeoutError:
            return self._call("GET", path)

    def post(self, path: str, body: Any) -> Any:
        return self._call("POST", path, body)

    def patch(self, path: str, body: Any) -> Any:
        return self._call("PATCH", path, body)

    def put(self, path: str) -> Any:
        return self._call("PUT", path)

    def health(self) -> dict[str, Any]:
        """What ``/monitor/health`` tells; empty while nobody answers."""
        try:
            health: dict[str, Any] = self._send("GET", "/api/v2/monitor/health", None, {})
        except (OSError, ApiError):
            return {}
        return health

    def token(self) -> str:
        """A bearer token of the user, asked for once."""
        if self._token is None:
            login = {"username": self.user.name, "password": self.user.password}
            self._token = str(self._send("POST", "/auth/token", login, {})["access_token"])
        return self._token

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        for _ in range(_DATABASE_TRIES - 1):
            try:
                return self._authorized(method, path, body)
            except ApiError as error:
                if not error.rolled_back:
                    raise
                time.sleep(0.5)
        return self._authorized(method, path, body)

    def _authorized(self, method: str, path: str, body: Any) -> Any:
        try:
            return self._send(method, f"/api/v2/{path}", body, {"Authorization": f"Bearer {self.token()}"})
        except ApiError as error:
            if error.status != 401:
                raise
            self._token = None
            return self._send(method, f"/api/v2/{path}", body, {"Authorization": f"Bearer {self.token()}"})

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the URL is this object's own
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json", **headers},
        )
        try:
            with OPENER.open(request, timeout=60) as response:
                content = response.read()
        except urllib.error.HTTPError as error:
            detail = error.read().decode("utf-8", "replace")
            raise ApiError(error.code, f"{method} {path}: {error.code} {detail[:500]}") from error
        return json.loads(content) if content else None
