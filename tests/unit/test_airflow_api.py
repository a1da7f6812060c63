"""The client of Airflow's REST API, against a server that answers as Airflow does when SQLite is busy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from scripts.airflow_api import AirflowApi, ApiError, LocalAdmin
from tests.loopback import listening

_BUSY = {"detail": {"reason": "Database error", "statement": "hidden", "orig_error": "hidden"}}


class _Airflow(BaseHTTPRequestHandler):
    answers: list[tuple[int, object]]
    asked: list[str]

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append(f"{self.command} {self.path}")
        status, body = (201, {"access_token": "t"}) if self.path == "/auth/token" else self.answers.pop(0)
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PATCH = _answer  # noqa: N815 - the names that the base class asks for

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AirflowApi]:
    monkeypatch.setattr("scripts.airflow_api.time.sleep", lambda seconds: None)
    passwords = tmp_path / "passwords.json"
    passwords.write_text('{"admin": "secret"}', "utf-8")
    _Airflow.asked = []
    with listening(_Airflow) as url:
        yield AirflowApi(url, LocalAdmin(passwords))


def test_a_request_that_the_busy_database_refused_is_asked_again(api: AirflowApi) -> None:
    _Airflow.answers = [(500, _BUSY), (500, _BUSY), (200, {"is_paused": False})]
    assert api.patch("dags/d", {"is_paused": False}) == {"is_paused": False}
    assert _Airflow.asked.count("PATCH /api/v2/dags/d") == 3


def test_a_database_that_never_answers_is_told(api: AirflowApi) -> None:
    _Airflow.answers = [(500, _BUSY)] * 9
    with pytest.raises(ApiError, match="PATCH /api/v2/dags/d: 500"):
        api.patch("dags/d", {})
    assert len(_Airflow.answers) == 4


@pytest.mark.parametrize("refusal", [(500, {"detail": "Internal Server Error"}), (409, {"detail": "exists"})])
def test_another_refusal_is_told_at_once(api: AirflowApi, refusal: tuple[int, object]) -> None:
    _Airflow.answers = [refusal]
    with pytest.raises(ApiError, match=str(refusal[0])):
        api.post("dags/d/dagRuns", {})
    assert _Airflow.answers == []
