"""Airflow in the tests' own process: a home of its own, so that nothing is read from or written to a real one.

Imported before Airflow, which reads these variables when it is imported.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
HOME = Path(tempfile.mkdtemp(prefix="respan-airflow-"))

os.environ["AIRFLOW_HOME"] = str(HOME)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(PROJECT / "dags")
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(PROJECT / "plugins")
os.environ["AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"
