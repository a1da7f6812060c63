"""Registers Respan with Airflow. The only file of this folder that Airflow imports as a plugin (``.airflowignore``)."""

from __future__ import annotations

import sys
from typing import Any

from airflow.plugins_manager import AirflowPlugin
from respan.links import PAGES, ReportLink, TrainingRunLink, VertexJobLink, VertexLogLink
from respan.vertex.batch_prediction import BatchPredictionJobLink


def _apps() -> list[dict[str, Any]]:
    """The pages, for the API server alone: no other process of Airflow needs FastAPI and what comes with it."""
    if "airflow.api_fastapi.app" not in sys.modules:
        return []
    from respan.ui.app import app

    return [{"app": app, "url_prefix": PAGES, "name": "Respan"}]


class RespanPlugin(AirflowPlugin):
    name = "respan"
    fastapi_apps: list[Any] = _apps()
    external_views: list[Any] = [  # noqa: RUF012 - Airflow's own form
        {"name": "Respan", "href": f"{PAGES}/", "destination": "nav", "url_route": "respan", "nav_top_level": True}
    ]
    operator_extra_links: list[Any] = [  # noqa: RUF012 - Airflow's own form
        ReportLink(),
        TrainingRunLink(),
        VertexJobLink(),
        VertexLogLink(),
        BatchPredictionJobLink(),
    ]
