"""A small deployment for the end-to-end tests: pipelines of its own, images that a small network learns in seconds, and
a local Airflow."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.airflow_local import PROJECT, LocalAirflow
from tests.dags.images.engines_at_hand import EngineAtHand
from tests.dags.images.registry import Registry
from tests.dags.pipeline_folders import write_pipeline
from tests.end_to_end import boxes
from tests.end_to_end.grey_png import grey_png

PIPELINE = "stripes"
#: The same, but a person approves each release.
APPROVED_PIPELINE = "approved_stripes"
#: The same, but shipped from a git repository.
SHIPPED_PIPELINE = "shipped_stripes"
EVALUATION, RETRAINING, TRAINING = (f"{PIPELINE}.{stage}" for stage in ("evaluation", "retraining", "training"))
APPROVED_TRAINING = f"{APPROVED_PIPELINE}.training"
SHIPPED_TRAINING, SHIPPED_CI_CD = f"{SHIPPED_PIPELINE}.training", f"{SHIPPED_PIPELINE}.ci_cd"

#: What the registry asks for.
LOGIN = ("robot", "a password; with 'marks'")

SIDE = 12

#: Airflow finds out soon that a scheduler or a task's supervisor was killed. Its defaults are made for machines where a
#: process may be silent for minutes.
QUICK_RECOVERY = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
}

SETTINGS = """
description: Tells horizontal from vertical stripes.
kind: image_classification
evaluation:
  min_samples: 60
  min_evaluated: 40
  poll_seconds: 0.5
  threshold: 0.8
  max_label_drift: 0.6
  max_prediction_drift: 0.6
training:
  epochs: 8
  batch_size: 16
  blessing_threshold: 0.7
model:
  image_size: 12
  max_shift: 0.0
  max_rotation: 0.0
"""

APPROVED_SETTINGS = """
description: Tells horizontal from vertical stripes, with a person's approval.
kind: image_classification
training:
  approval: true
  epochs: 1
  blessing_threshold: 0.0
model:
  image_size: 12
"""


SHIPPED_SETTINGS = """
ci_cd:
  remote: {remote}
  poll_seconds: 1
  local_run: {{training.epochs: 1, training.blessing_threshold: 0.0}}
  image: {{builder: podman, repository: {registry}/shipped-stripes, connection: registry}}
"""


class Deployment:
    """Below ``folder``: RESPAN_HOME with the storage, a folder with the pipelines, and one for their code's remote."""

    def __init__(self, folder: Path, engine: EngineAtHand, registry: Registry) -> None:
        self.home = folder / "home"
        self.storage = self.home / "storage" / PIPELINE
        self.approved_storage = self.home / "storage" / APPROVED_PIPELINE
        self.shipped_storage = self.home / "storage" / SHIPPED_PIPELINE
        self.pipelines = folder / "pipelines"
        self.code = folder / "code"
        for name, settings in (
            (PIPELINE, SETTINGS),
            (APPROVED_PIPELINE, APPROVED_SETTINGS),
            (
                SHIPPED_PIPELINE,
                SETTINGS + SHIPPED_SETTINGS.format(remote=self.code / "remote.git", registry=registry.address),
            ),
        ):
            write_pipeline(self.pipelines, name, settings)
        write_pipeline(self.pipelines, boxes.BOXES, boxes.SETTINGS, like="semantic_segmentation")
        self.airflow = LocalAirflow(
            self.home,
            pipelines=str(self.pipelines),
            environment={
                "RESPAN_TFX_PYTHON": os.environ["RESPAN_TFX_PYTHON"],
                "AIRFLOW_CONN_REGISTRY": json.dumps({"conn_type": "docker", "login": LOGIN[0], "password": LOGIN[1]}),
                **engine.environment,
                **QUICK_RECOVERY,
            },
        )
        self._made: Counter[str] = Counter()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Airflow runs and knows the DAGs. At the end neither it nor the warm process does."""
        try:
            with self.airflow:
                self.airflow.wait_for_dags(
                    EVALUATION, RETRAINING, TRAINING, APPROVED_TRAINING, SHIPPED_TRAINING, SHIPPED_CI_CD
                )
                yield
        finally:
            self.stop_warm_process()

    def stop_warm_process(self) -> None:
        """Ends the warm process that the tasks started, which would go on for a while after Airflow."""
        self.ml("warm", "stop")

    def collect(self, count: int, *, seed: int, tilted: bool = False, pipeline: str = PIPELINE) -> None:
        """Puts ``count`` new samples into the pipeline's inbox, half of each label. ``tilted``: the camera is held
        at 45°, so that who knows level pictures alone can only guess."""
        for name, content in pictures(count, seed=seed, tilted=tilted):
            target = self.home / "storage" / pipeline / "inbox" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        self._made[pipeline] += count

    @property
    def collected(self) -> int:
        return self._made[PIPELINE]

    def ml(self, *arguments: str) -> Any:
        """The JSON that ``python -m ml …`` prints, run as a person would beside the running Airflow."""
        return run_ml(self.airflow.environment, *arguments)


def run_ml(environment: Mapping[str, str], *arguments: str) -> Any:
    """The JSON that ``python -m ml …`` prints in an environment with ``environment``."""
    done = subprocess.run(
        [os.environ["RESPAN_TFX_PYTHON"], "-m", "ml", *arguments, "--json"],
        env={**os.environ, **environment},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def pictures(count: int, *, seed: int, tilted: bool = False) -> Iterator[tuple[str, bytes]]:
    """New samples, half of each label: their names below the inbox, which begin with the label, and their bytes."""
    shuffled = random.Random(seed)
    for number in range(count):
        label = ("across", "upright")[number % 2]
        yield f"{label}/{seed}-{number}.png", grey_png(_stripes(label, shuffled, tilted=tilted))


def _stripes(label: str, shuffled: random.Random, *, tilted: bool) -> list[list[int]]:
    phase, bright, dark = shuffled.randrange(4), shuffled.randrange(170, 240), shuffled.randrange(10, 80)

    def along(x: int, y: int) -> int:
        """How far the pixel is across the stripes."""
        if label == "across":
            return x + y if tilted else y
        return SIDE + x - y if tilted else x

    return [
        [(bright if (along(x, y) + phase) // 2 % 2 else dark) + shuffled.randrange(-8, 8) for x in range(SIDE)]
        for y in range(SIDE)
    ]
