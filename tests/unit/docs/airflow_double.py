"""Airflow's REST API on loopback, as far as the GitHub Actions job needs it.

tests/dags/commit_status/test_in_airflow.py runs the same job against Airflow itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.loopback import listening

_DAG = re.compile(r"^/api/v2/dags/([^/]+)$")
_RUNS = re.compile(r"^/api/v2/dags/([^/]+)/dagRuns$")
_RUN = re.compile(r"^/api/v2/dags/([^/]+)/dagRuns/([^/]+)(/taskInstances\?state=failed&state=upstream_failed)?$")
_DETECT = re.compile(r"^/api/v2/dags/([^/]+)/dagRuns/([^/]+)/taskInstances/detect$")
_CLEAR = re.compile(r"^/api/v2/dags/([^/]+)/clearTaskInstances$")

USERNAME, PASSWORD, TOKEN = "actions", "p'a$s`s\"w", "eyJ.made.up"


@dataclass
class AirflowDouble:
    """The state of an Airflow with one DAG.

    ``paused``: DAG → whether it is; ``runs``: run id → what started it; ``states``: what the next looks at a run show,
    the last one for ever; ``detect``, that task's state, and ``failed_tasks`` of every run; ``faults``: HTTP's, for the
    next requests (0: no answer; None: as usual); ``cleared``: the tasks of each clearing; ``requests``: what came, in
    order.
    """

    paused: dict[str, bool] = field(default_factory=lambda: {"flowers.ci_cd": False})
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    states: list[str] = field(default_factory=lambda: ["success"])
    detect: str = "success"
    failed_tasks: list[str] = field(default_factory=lambda: ["verify.test", "processed"])
    faults: list[int | None] = field(default_factory=list)
    cleared: list[list[str] | None] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, authorization: str, body: Any) -> tuple[int, Any]:
        """Status and document."""
        if (method, path) == ("POST", "/auth/token"):
            known = body == {"username": USERNAME, "password": PASSWORD}
            return (201, {"access_token": TOKEN}) if known else (401, {"detail": "Invalid credentials"})
        if authorization != f"Bearer {TOKEN}":
            return 401, {"detail": "Invalid JWT token"}
        if (dag := _DAG.match(path)) and method == "GET":
            paused = self.paused.get(dag[1])
            return (404, {"detail": "not found"}) if paused is None else (200, {"is_paused": paused})
        if (runs := _RUNS.match(path)) and method == "POST" and runs[1] in self.paused:
            if body["dag_run_id"] in self.runs:
                return 409, {"detail": {"reason": "Unique constraint violation"}}
            self.runs[body["dag_run_id"]] = body
            return 200, {**body, "state": "queued"}
        if _CLEAR.match(path) and method == "POST" and body["dag_run_id"] in self.runs:
            self.cleared.append(body["task_ids"])
            return 200, {"task_instances": []}
        if (detect := _DETECT.match(path)) and detect[2] in self.runs:
            return 200, {"task_id": "detect", "state": self.detect}
        if (run := _RUN.match(path)) and run[2] in self.runs:
            if run[3]:
                return 200, {"task_instances": [{"task_id": task} for task in self.failed_tasks]}
            return 200, {"state": self.states.pop(0) if len(self.states) > 1 else self.states[0]}
        return 404, {"detail": "Not Found"}


@contextmanager
def airflow_double() -> Iterator[AirflowDouble]:
    """A double that listens on a free port of 127.0.0.1."""
    double = AirflowDouble()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET", None)

        def do_POST(self) -> None:
            self._answer("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, method: str, body: Any) -> None:
            double.requests.append(f"{method} {self.path}")
            fault = double.faults.pop(0) if double.faults else None
            if fault == 0:
                self.close_connection = True
                return
            status, document = fault, {"detail": "as told"}
            if status is None:
                status, document = double.answer(method, self.path, self.headers.get("Authorization", ""), body)
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if 300 <= status < 400:
                self.send_header("Location", f"{double.url}/elsewhere")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing on the tests' standard error."""

    with listening(Handler) as double.url:
        yield double
