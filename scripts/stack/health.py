"""``python -m scripts.stack.health ROLE``: whether a service of the stack does its work; exit code 0 or 1.

Called every few seconds in each container, so it imports no Airflow: what Airflow's own check of a component takes
would keep a processor busy.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

from scripts.loopback import OPENER, get_json

_SECONDS = 5.0


def api_server() -> bool:
    """It answers, and reaches the database."""
    return _healthy(_ask("http://localhost:8080/api/v2/monitor/health"), "metadatabase")


def scheduler() -> bool:
    """This container's scheduler has told the database within the last moments that it is alive."""
    with OPENER.open("http://localhost:8974/health", timeout=_SECONDS) as response:
        return bool(response.status == 200)  # it answers without a body


def triggerer() -> bool:
    return _healthy(_ask(f"{_api()}/api/v2/monitor/health"), "triggerer")


def dag_processor() -> bool:
    return _healthy(_ask(f"{_api()}/api/v2/monitor/health"), "dag_processor")


def worker() -> bool:
    """This container's worker answers through the broker, which is the way that tasks come to it."""
    from celery import Celery

    celery = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
    return bool(celery.control.ping(destination=[f"celery@{socket.gethostname()}"], timeout=_SECONDS))


ROLES: Mapping[str, Callable[[], bool]] = {
    "api-server": api_server,
    "scheduler": scheduler,
    "triggerer": triggerer,
    "dag-processor": dag_processor,
    "worker": worker,
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in ROLES:
        print(f"name one of: {', '.join(ROLES)}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        return 0 if ROLES[arguments[0]]() else 1
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1


def _api() -> str:
    return os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].removesuffix("/execution/")


def _ask(url: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = get_json(url, timeout=_SECONDS)
    return found


def _healthy(health: Mapping[str, Any], part: str) -> bool:
    found = health.get(part) or {}
    return found.get("status") == "healthy"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
