"""The admin that ``scripts.stack.init`` makes, and its API as a person's program sees it. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripts.airflow_api import AirflowApi
from scripts.airflow_runs import AirflowRuns

_LOGS = Path("/var/lib/airflow/logs")


@dataclass(frozen=True, slots=True)
class Admin:
    name: str
    password: str = field(repr=False)


def stack_airflow(url: str, settings: Mapping[str, str]) -> AirflowRuns:
    """The stack's Airflow at ``url``; ``settings`` are the variables of ``.env``."""
    admin = Admin(settings.get("AIRFLOW_ADMIN_USER") or "admin", settings["AIRFLOW_ADMIN_PASSWORD"])
    return AirflowRuns(AirflowApi(url, admin), _LOGS)
