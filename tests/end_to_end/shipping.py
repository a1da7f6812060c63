"""What a pipeline lives through whose code changes: pushes to a real git repository, with Airflow running.

Its ``model.py`` changes → a test breaks → the fix → the README → a DAG. The last run of each is kept for the tests.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ml.layout import span
from scripts.code_repository import BRANCH, CodeRepository
from tests.end_to_end.deployment import SHIPPED_CI_CD, SHIPPED_PIPELINE, SHIPPED_TRAINING, Deployment

FOLDER = f"ml/pipelines/{SHIPPED_PIPELINE}"
MODEL = f"{FOLDER}/model.py"

_SURE = """\
    model = keras.Model(features.input, keras.layers.Dense(classes, activation="softmax")(dropped))
"""
_UNSURE = """\
    sure = keras.layers.Dense(classes, activation="softmax")(dropped)
    model = keras.Model(features.input, keras.layers.Rescaling(0.5, 0.5 / classes)(sure))
"""

_TEST = '''\
"""The classifier's output."""

import numpy as np

from ml.pipelines.{pipeline}.model import build_model
from ml.pipelines.{pipeline}.settings import ModelSettings


def test_the_model_gives_probabilities() -> None:
    model = build_model(ModelSettings(image_size=12), 3, 1e-3, 10)
    probabilities = model(np.zeros((2, 12, 12, 3), np.float32), training=False).numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
'''


def unsure(code: str) -> str:
    """The model halves what its probabilities differ from those of chance: none of two is above 0.75 any more."""
    return code.replace(_SURE, _UNSURE)


def broken(code: str) -> str:
    """Probabilities don't add up to 1 any more."""
    return code.replace("(0.5, 0.5 / classes)", "(0.4, 0.5 / classes)")


def mended(code: str) -> str:
    return code.replace("(0.4, 0.5 / classes)", "(0.4, 0.6 / classes)")


def still_less_sure(code: str) -> str:
    return code.replace("(0.4, 0.6 / classes)", "(0.3, 0.7 / classes)")


def surer_again(code: str) -> str:
    return code.replace("(0.3, 0.7 / classes)", "(0.4, 0.6 / classes)")


@dataclass(frozen=True)
class Shipment:
    """A push and its ci_cd run, ended. ``releases`` are the versions that there were after it."""

    revision: str
    run_id: str
    state: str
    tasks: dict[str, str | None]
    scope: str | None
    releases: list[int]


@dataclass
class Code:
    """The git repository of the deployment's shipped pipeline."""

    deployment: Deployment
    repository: CodeRepository
    first: str
    known: list[str] = field(default_factory=list)

    def push(self, message: str, path: str, edit: Callable[[str], str]) -> Shipment:
        """Pushes, and waits for the end of the run that Airflow starts by itself."""
        revision = self.repository.push(message, self.repository.edited(path, edit))
        return self.ended(revision)

    def ended(self, revision: str, *, timeout: float = 400) -> Shipment:
        """The next run, when it has ended."""
        airflow = self.deployment.airflow
        run_id = airflow.wait_for_run(SHIPPED_CI_CD, other_than=tuple(self.known), timeout=60)
        self.known.append(run_id)
        state = airflow.wait(SHIPPED_CI_CD, run_id, timeout=timeout)
        return self.shipment(revision, run_id, state)

    def shipment(self, revision: str, run_id: str, state: str) -> Shipment:
        airflow = self.deployment.airflow
        return Shipment(
            revision=revision,
            run_id=run_id,
            state=state,
            tasks=airflow.task_states(SHIPPED_CI_CD, run_id),
            scope=airflow.xcom(SHIPPED_CI_CD, run_id, "decide_scope", "scope"),
            releases=self.deployment.ml("release", "list", SHIPPED_PIPELINE)["versions"],
        )

    def processed(self) -> str:
        """The revision of the watched branch that went all the way last."""
        branches = self.deployment.ml("ci-cd", "list", SHIPPED_PIPELINE)["branches"]
        [revision] = [str(each["revision"]) for each in branches if each["branch"] == BRANCH]
        return revision

    def training_runs(self, revision: str) -> list[str]:
        """Every training run that there was for the revision."""
        return [run for run in self.deployment.airflow.run_ids(SHIPPED_TRAINING) if revision[:12] in run]

    def surest(self, *, seed: int, version: int) -> float:
        """The highest probability that the version gives to any label of new samples."""
        deployment = self.deployment
        deployment.collect(20, seed=seed, pipeline=SHIPPED_PIPELINE)
        batch = deployment.ml("batch", "freeze", SHIPPED_PIPELINE, "--run-id", f"surest-{seed}")["batch"]
        deployment.ml("predict", SHIPPED_PIPELINE, batch, "--version", str(version))
        lines = (deployment.shipped_storage / "batches" / batch / "predictions.jsonl").read_text("utf-8").splitlines()
        deployment.ml("batch", "settle", SHIPPED_PIPELINE, batch)
        return max(max(_numbers(json.loads(line)["prediction"])) for line in lines)


@dataclass(frozen=True)
class Shipped:
    """All of it, in order."""

    code: Code
    model_changed: Shipment
    test_broken: Shipment
    test_mended: Shipment
    readme_changed: Shipment
    dag_changed: Shipment


def publish_code(deployment: Deployment) -> Code:
    """Makes the repository that the shipped pipeline's settings name; what is installed is its first revision."""
    repository = CodeRepository(deployment.code)
    installed = deployment.pipelines / SHIPPED_PIPELINE
    files: dict[str, str | None] = {
        f"{FOLDER}/{file.name}": file.read_text("utf-8") for file in installed.iterdir() if file.is_file()
    }
    first = repository.create(
        files
        | {
            f"{FOLDER}/model_test.py": _TEST.format(pipeline=SHIPPED_PIPELINE),
            "Dockerfile": "FROM scratch\nCOPY ml dags plugins /respan/\n",
        }
    )
    deployment.ml("ci-cd", "mark-processed", SHIPPED_PIPELINE, "--branch", BRANCH, "--revision", first)
    return Code(deployment, repository, first)


def ship(deployment: Deployment) -> Shipped:
    code = publish_code(deployment)
    shutil.copytree(deployment.storage / span(1), deployment.shipped_storage / span(1))
    deployment.airflow.unpause(SHIPPED_TRAINING)
    deployment.airflow.watch(SHIPPED_CI_CD)
    return Shipped(
        code=code,
        model_changed=code.push("The model is less sure", MODEL, unsure),
        test_broken=code.push("A slip", MODEL, broken),
        test_mended=code.push("Mend it", MODEL, mended),
        readme_changed=code.push("Words", "README.md", lambda text: text + "\nMore.\n"),
        dag_changed=code.push(
            "A DAG", "dags/settings_check.py", lambda text: text.replace('"""Shows', '"""Always shows')
        ),
    )


def _numbers(value: Any) -> list[float]:
    """Every fraction in a prediction, wherever it is."""
    if isinstance(value, dict):
        return [number for each in value.values() for number in _numbers(each)]
    if isinstance(value, list):
        return [number for each in value for number in _numbers(each)]
    return [value] if isinstance(value, float) else []
