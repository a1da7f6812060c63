"""(a) Importing all of ``dags/`` against importing ``airflow.sdk`` alone, each in a fresh interpreter, taking turns."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping

from benchmarks.result import Result
from ml.home import PROJECT

ROUNDS = 9

_PEER = """
import time
begun = time.perf_counter()
import airflow.sdk
seconds = time.perf_counter() - begun
"""

# Every file, settings_check included: a pipeline's problems, which it raises, cost nothing more.
_OURS = """
import time
begun = time.perf_counter()
import runpy
from ml.errors import SettingsError
for file in {files!r}:
    try:
        runpy.run_path(file)
    except SettingsError:
        pass
seconds = time.perf_counter() - begun
"""


def measure() -> Iterator[Result]:
    """The one result, in seconds."""
    files = sorted(str(file) for file in (PROJECT / "dags").glob("*.py"))
    with tempfile.TemporaryDirectory(prefix="respan-bench-") as folder:
        environment = {
            **os.environ,
            "AIRFLOW_HOME": folder,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "PYTHONPATH": os.pathsep.join((str(PROJECT), str(PROJECT / "plugins"))),
        }
        scripts = {"ours": _OURS.format(files=files), "peer": _PEER}
        for script in scripts.values():  # Airflow's home and the bytecode are there afterwards
            _seconds(script, environment)
        times: dict[str, list[float]] = {"ours": [], "peer": []}
        for _ in range(ROUNDS):
            for name, script in scripts.items():
                times[name].append(_seconds(script, environment))
    ratios = [one / other for one, other in zip(times["ours"], times["peer"], strict=True)]
    yield Result(
        name="import of dags/",
        ours=statistics.median(times["ours"]),
        peer=statistics.median(times["peer"]),
        ratio=statistics.median(ratios),
        unit="s",
        bound="<= 1.25",
        detail={"files": len(files), "ratios": ratios, **times},
    )


def _seconds(script: str, environment: Mapping[str, str]) -> float:
    done = subprocess.run(
        [sys.executable, "-c", f"{script}print(seconds)"],
        env=environment,
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])
