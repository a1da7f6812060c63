"""These tests need Airflow's environment; elsewhere there is nothing to collect."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("airflow") else ["*"]
