"""Commands of the model's side that need no TFX, with Airflow's own interpreter."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from respan.hooks.cold_command import ColdCommand
from respan.hooks.tfx import TfxHook


class AirflowPythonHook(TfxHook):
    """Runs ``python -m ml …`` with the interpreter that runs Airflow: for what is installed only there, such as ruff.

    Always in a process of its own, with the same environment as TFX's commands: nothing of Airflow's is in it.
    """

    def interpreter(self) -> Path:
        return Path(sys.executable)

    def start(self, argv: Sequence[str], *, stdout: int, stderr: int) -> ColdCommand:
        return ColdCommand(
            argv, python=self.interpreter(), environment=self.environment(), stdout=stdout, stderr=stderr
        )
