"""These tests need Airflow's environment; elsewhere there is nothing to collect."""

from __future__ import annotations

from importlib.util import find_spec

from tests.dags import airflow_home

collect_ignore_glob = [] if find_spec("airflow") else ["*"]

__all__ = ["airflow_home", "collect_ignore_glob"]
