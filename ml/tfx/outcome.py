"""What a finished run says of its model: the Evaluator's metrics and blessing, and what Pusher pushed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tensorflow_model_analysis as tfma

from ml.errors import NotFoundError
from ml.tfx.metadata import output_uris
from ml.tfx.node import LocalRun

_METRICS = {"sparse_categorical_accuracy": "accuracy", "example_count": "examples"}


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """``metrics``: the candidate's, overall on the window's eval split. ``pushed``: the pushed model's folder, None for
    a model that was not blessed. ``examples``: the folder of the run's examples, ``Split-train`` and ``Split-eval``."""

    blessed: bool
    pushed: str | None
    metrics: dict[str, float]
    examples: str


def run_outcome(run: LocalRun) -> RunOutcome:
    """Reads the outcome from ML Metadata and the artifacts. Raises ``NotFoundError`` before Pusher is done."""
    evaluation = _outputs(run, "Evaluator")
    pushed = _outputs(run, "Pusher")["pushed_model"]
    blessed = (Path(evaluation["blessing"]) / "BLESSED").exists()
    return RunOutcome(
        blessed=blessed,
        pushed=pushed if blessed else None,
        metrics=overall_metrics(evaluation["evaluation"]),
        examples=_outputs(run, "ImportExampleGen")["examples"],
    )


def overall_metrics(evaluation: str) -> dict[str, float]:
    """The candidate's metrics over all examples, by Respan's names, from TFMA's output in ``evaluation``."""
    metrics: dict[str, float] = {}
    for record in tfma.load_metrics(evaluation):
        if record.slice_key.single_slice_keys:
            continue
        for item in record.metric_keys_and_values:
            if item.key.name in _METRICS and item.key.model_name in ("", "candidate") and not item.key.is_diff:
                metrics[_METRICS[item.key.name]] = item.value.double_value.value
    return metrics


def _outputs(run: LocalRun, node: str) -> dict[str, str]:
    execution = run.execution(node)
    if execution is None or not execution.succeeded:
        raise NotFoundError(f"{node} is not done in this run: run it first")
    return output_uris(run.metadata, execution.id)
