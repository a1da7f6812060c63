"""A training run as Airflow tasks, each node a child of the warm process, against TFX's LocalDagRunner.

Both run the same components on the same spans, from an empty ML Metadata store, on a machine that does nothing else:
Airflow is stopped while its peer runs.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from benchmarks.result import Result
from ml.graph import read_graph
from ml.home import home
from ml.layout import inbox
from ml.storage import Storage, open_storage
from scripts.airflow_local import LocalAirflow
from scripts.model_side import ModelSide, tfx_python

PIPELINE = "image_classification"
TRAINING = f"{PIPELINE}.training"
ROUNDS = 3
_PATIENCE_SECONDS = 900.0


def measure() -> Iterator[Result]:
    """The one result: seconds from the trigger to the end of the last component, and of the peer's whole process.

    Afterwards the DAG publishes the model, which its peer doesn't: ``whole_run`` in the detail counts that in.
    """
    with tempfile.TemporaryDirectory(prefix="respan-bench-") as folder:
        bench = TrainingBench(Path(folder))
        bench.prepare_span()
        peer, ours, whole = [], [], []
        for number in range(ROUNDS):
            peer.append(bench.run_peer(f"peer-{number}"))
            components, dag_run = bench.run_dag(f"dag-{number}")
            ours.append(components)
            whole.append(dag_run)
    ratios = [one / other for one, other in zip(ours, peer, strict=True)]
    yield Result(
        name="training run, warm process",
        ours=statistics.median(ours),
        peer=statistics.median(peer),
        ratio=statistics.median(ratios),
        unit="s",
        bound="<= 1.10",
        detail={"ratios": ratios, "ours": ours, "peer": peer, "whole_run": whole},
    )


class TrainingBench:
    """One home with one span, trained again and again from nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._python = tfx_python(home())
        self._airflow = LocalAirflow(folder, environment={"RESPAN_TFX_PYTHON": str(self._python)})
        self._model_side = ModelSide(self._python, self._airflow.environment)
        self._storage: Storage = open_storage(f"file://{folder / 'storage'}").child(PIPELINE)

    def prepare_span(self) -> None:
        """Span 1, of 1,470 digits."""
        try:
            drawing = self._model_side.start("scripts.demo_data", str(self._folder / "data"))
            _output, error = drawing.communicate()
            if drawing.returncode:
                raise RuntimeError(error.decode("utf-8", "replace"))
            for name in ("first", "shifted", "fresh"):
                for file in (self._folder / "data" / name).glob("*/*.png"):
                    self._storage.upload(file, inbox(f"{file.parent.name}/{file.name}"))
            batch = self._model_side.json("batch", "freeze", PIPELINE, "--run-id", "benchmark")["batch"]
            self._model_side.json("span", "prepare", PIPELINE, batch)
            self._model_side.json("batch", "settle", PIPELINE, batch)
        finally:
            self._model_side.cool_down()

    def run_peer(self, run_id: str) -> float:
        """Seconds of a fresh process that runs the pipeline with TFX's LocalDagRunner."""
        self._forget_runs()
        begun = time.monotonic()
        running = self._model_side.start("benchmarks.local_dag_runner", PIPELINE, run_id)
        _output, error = running.communicate(timeout=_PATIENCE_SECONDS)
        seconds = time.monotonic() - begun
        if running.returncode:
            raise RuntimeError(f"LocalDagRunner failed: {error.decode('utf-8', 'replace')[-2000:]}")
        return seconds

    def run_dag(self, run_id: str) -> tuple[float, float]:
        """Seconds from the trigger to the end of the last component, and to the end of the DAG's run."""
        self._forget_runs()
        try:
            self._model_side.warm_up()
            self._airflow.start()
            self._airflow.wait_for_dags(TRAINING)
            self._airflow.unpause(TRAINING)
            self._model_side.json("window", PIPELINE)  # answers when the warm process is ready
            begun = time.time()
            self._airflow.trigger(TRAINING, run_id=run_id)
            state = self._airflow.wait(TRAINING, run_id, timeout=_PATIENCE_SECONDS)
            if state != "success":
                raise RuntimeError(f"the training run is {state}: {self._airflow.task_states(TRAINING, run_id)}")
            tasks = self._airflow.task_instances(TRAINING, run_id)
        finally:
            self._airflow.stop()
            self._model_side.cool_down()
        ends = {
            task["task_id"]: datetime.fromisoformat(task["end_date"]).timestamp() for task in tasks if task["end_date"]
        }
        components = {node.id for node in read_graph(PIPELINE).nodes}
        last_component = max(end for task, end in ends.items() if task.rsplit(".", 1)[-1] in components)
        return last_component - begun, max(ends.values()) - begun

    def _forget_runs(self) -> None:
        """Nothing may come from TFX's cache, nor be compared with an earlier model."""
        for name in ("runs", "models", "releases", "claims/models"):
            self._storage.delete_tree(name)
        for folder in ("metadata", "locks"):
            shutil.rmtree(self._folder / folder, ignore_errors=True)
