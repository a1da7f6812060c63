"""What a finished run says of its model: the Evaluator's metrics and blessing, and what Pusher pushed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow_model_analysis as tfma

from ml import layout
from ml.errors import ComponentError, NotFoundError
from ml.kinds import kind_of
from ml.local_copy import local_folder, stored_name
from ml.runs import TrainingRun, code_of, read_run
from ml.settings import load_settings
from ml.storage import Storage
from ml.tfx.metadata import LockedMetadata, run_outputs
from ml.tfx.metadata_places import metadata_place
from ml.vertex_records import RunOutputs

#: The marker of a complete SavedModel; Pusher writes it last.
SAVED_MODEL = "saved_model.pb"


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """``blessed``: whether it may be released, at least once a person confirms it. ``metrics``: the candidate's over
    the window's eval split. ``pushed``: the URI of the pushed model's folder in storage, None for a model that was
    not blessed. ``examples``: that of the run's examples, a folder with
    ``Split-train`` and ``Split-eval``."""

    blessed: bool
    pushed: str | None
    metrics: dict[str, float]
    examples: str


def run_outcome(pipeline: str, storage: Storage, run_id: str) -> RunOutcome:
    """Reads the outcome of a run. Raises ``NotFoundError`` before Pusher is done, and ``DataError`` where a run on
    Vertex AI wrote to another place than the pipeline's storage."""
    run = read_run(storage, run_id)
    with code_of(run, storage):
        recorded = kind_of(load_settings(pipeline)).recorded_metrics
    outputs = _outputs(pipeline, storage, run)
    if "Pusher" not in outputs:
        raise NotFoundError(f"run {run.run} of pipeline {pipeline} is not finished: Pusher is not done")
    gate = outputs.get("Comparison", outputs["Evaluator"])  # a run of an earlier version of Respan has no Comparison
    with local_folder(storage, gate["blessing"]) as blessing:
        blessed = (blessing / "BLESSED").exists()
    with local_folder(storage, outputs["Evaluator"]["evaluation"]) as evaluation:
        metrics = overall_metrics(str(evaluation), recorded)
    return RunOutcome(
        blessed=blessed,
        pushed=_pushed(storage, run.run) if blessed else None,
        metrics=metrics,
        examples=outputs["ImportExampleGen"]["examples"],
    )


def _outputs(pipeline: str, storage: Storage, run: TrainingRun) -> dict[str, dict[str, str]]:
    """What the run's components gave: component → output → URI."""
    if run.target == "local":
        return run_outputs(LockedMetadata(metadata_place(pipeline)), run.run)
    name = layout.run(run.run, layout.RUN_OUTPUTS)
    try:
        outputs = RunOutputs.from_json(storage.read(name)).outputs
    except NotFoundError:
        raise NotFoundError(
            f"run {run.run} of pipeline {pipeline} is not finished on Vertex AI: {storage.uri(name)} is missing"
        ) from None
    for uri in (uri for given in outputs.values() for uri in given.values()):
        stored_name(storage, uri)
    return outputs


def overall_metrics(evaluation: str, recorded: Mapping[str, str]) -> dict[str, float]:
    """The candidate's metrics over all examples, from TFMA's output in ``evaluation``; ``recorded``: TFMA's names of
    those that are read → Respan's."""
    metrics: dict[str, float] = {}
    for record in tfma.load_metrics(evaluation):
        if record.slice_key.single_slice_keys:
            continue
        for item in record.metric_keys_and_values:
            if item.key.name in recorded and item.key.model_name in ("", "candidate") and not item.key.is_diff:
                metrics[recorded[item.key.name]] = item.value.double_value.value
    return metrics


def _pushed(storage: Storage, run_id: str) -> str:
    """The newest complete one: a Pusher that was killed leaves an incomplete folder, and its retry pushes another."""
    pushed = layout.run(run_id, "pushed")
    numbers = [int(name) for name in storage.folders(pushed) if name.isdecimal()]
    for number in sorted(numbers, reverse=True):
        if storage.exists(f"{pushed}/{number}/{SAVED_MODEL}"):
            return storage.uri(f"{pushed}/{number}")
    raise ComponentError(f"run {run_id} was blessed, but {storage.uri(pushed)} holds no model: run Pusher again")
