"""``python -m scripts.airflow_ui [--port N] [--home FOLDER]``: Airflow on the state in ``RESPAN_HOME``, until Ctrl-C.

``airflow standalone`` with the same variables that the demo starts its Airflow with, so both see the same runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ml.home import home, storage_root
from scripts.airflow_local import PROJECT, LocalAirflow
from scripts.model_side import tfx_python

DEFAULT_PORT = 8080


def main(arguments: Sequence[str] | None = None) -> None:
    """Doesn't return: this process becomes Airflow's, so that signals and exit code are its own."""
    parser = argparse.ArgumentParser(prog="make airflow", description="Opens Airflow's UI on the state in RESPAN_HOME.")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="of the UI, on this machine only (default: %(default)s)"
    )
    parser.add_argument(
        "--home",
        type=Path,
        help="other state than RESPAN_HOME's, such as a demo's: $RESPAN_HOME/demo; its `pipelines`, too",
    )
    chosen = parser.parse_args(arguments)
    state: Path = (chosen.home or home()).absolute()
    if not state.is_dir() and chosen.home:
        parser.error(f"there is no folder {state}")
    pipelines = state / "pipelines"
    airflow = LocalAirflow(
        state,
        pipelines=str(pipelines) if chosen.home and pipelines.is_dir() else None,
        storage=None if chosen.home else storage_root(),
        port=chosen.port,
        environment={"RESPAN_TFX_PYTHON": str(tfx_python(home()))},
    )
    # `standalone` starts its components by the name `airflow`.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    variables = {**airflow.environment, "PATH": path}
    (state / "airflow").mkdir(parents=True, exist_ok=True)
    passwords = state / "airflow" / "simple_auth_manager_passwords.json.generated"
    say(f"Airflow's UI: {airflow.url} in about half a minute; Ctrl-C ends it. State: {state}")
    say(f"Sign in as admin; Airflow writes the password to {passwords} at its first start")
    os.chdir(PROJECT)
    os.execve(sys.executable, [sys.executable, "-m", "airflow", "standalone"], variables)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
