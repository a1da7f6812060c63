"""``python -m scripts.stack.demo [--pipeline NAME]``: the story of ``make demo``, inside the stack.

Runs in the service ``tools``, with Airflow's interpreter, in a stack that has seen no sample yet: it drops pictures
into the inbox and looks on through Airflow's API, and all else is done by the stack's workers. What it makes stays.
Exit code: 0 when every promise of :mod:`scripts.demo_summary` was kept, else 1; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ml.home import home, pipeline_storage
from ml.storage import Storage
from scripts.demo import Demo, judge
from scripts.demo_deployment import play
from scripts.demo_stories import CLASSIFICATION, STORIES
from scripts.demo_timeline import DemoError, Timeline
from scripts.model_side import ModelSide, tfx_python
from scripts.stack.admin import stack_airflow


class Stack:
    """The stack as a demo sees it; ``folder`` is a temporary one of the demo's own."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.place = environment["RESPAN_API"]
        self.airflow = stack_airflow(self.place, environment)
        self.model_side = ModelSide(tfx_python(home()), environment)

    def storage(self, pipeline: str) -> Storage:
        return pipeline_storage(pipeline)

    def install(self, pipeline: str) -> None:
        """The image has it. Raises ``DemoError`` where it has a history, which a demo must not mix with."""
        if self.storage(pipeline).folders():
            raise DemoError(f"pipeline {pipeline} of this stack has samples already: the demo wants a new one")

    def start(self, data: str, *dag_ids: str) -> None:
        drawing = self.model_side.start(data, str(self.folder / "data"))
        _output, error = drawing.communicate()
        if drawing.returncode:
            raise DemoError(f"the pictures can't be drawn: {error.decode('utf-8', 'replace').strip()[-500:]}")
        self.airflow.wait_for_dags(*dag_ids)

    def stop(self) -> None:
        self.model_side.cool_down()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts.stack.demo")
    parser.add_argument("--pipeline", choices=list(STORIES), default=CLASSIFICATION.pipeline)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(Stack(Path(folder), os.environ), STORIES[chosen.pipeline], Timeline())
        summary = play(demo, demo.timeline)
        return summary if isinstance(summary, int) else int(not judge(summary, demo))


if __name__ == "__main__":
    sys.exit(main())
