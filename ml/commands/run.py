"""``run``, ``run-node`` and ``train``: a training run, its start, one of its nodes, or the whole of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

import click

from ml import windows
from ml.commands.arguments import given_settings, revision_option, settings_option, window_option
from ml.commands.output import json_option, note, show
from ml.comparison.documents import read_comparison
from ml.errors import SettingsError
from ml.home import pipeline_folder, pipeline_storage
from ml.records import TrainingCause
from ml.runs import INSTALLED, TrainingRun, code_of, read_run, start_run

_reason_option = click.option("--reason", help="Why; recorded with the run and its release.  [default: from the cause]")


@click.group()
def run() -> None:
    """Training runs: what each is trained on, and with which code."""


@run.command()
@click.argument("pipeline")
@click.option("--run-id", required=True, help="Any text; a repeat with the same one changes nothing.")
@window_option
@settings_option
@revision_option
@click.option(
    "--cause",
    type=click.Choice([cause.value for cause in TrainingCause]),
    default=TrainingCause.MANUAL.value,
    show_default=True,
    help="What starts it.",
)
@_reason_option
@json_option
def start(
    pipeline: str,
    run_id: str,
    window: str | None,
    overrides: tuple[str, ...],
    revision: str | None,
    cause: str,
    reason: str | None,
    as_json: bool,
) -> None:
    """Decide what a training run of PIPELINE reads, and with which code; `run-node` does the rest."""
    begun = _start(pipeline, run_id, window, overrides, cause=TrainingCause(cause), reason=reason, revision=revision)
    document = begun.model_dump(
        mode="json",
        include={"run", "window", "cause", "reason", "revision", "image", "target", "champion", "lost_classes"},
    )
    show(document, as_json=as_json, text=_told(begun))


@run.command()
@click.argument("pipeline")
@click.option("--run-id", required=True, help="A run that was started with the target vertex.")
@click.option("--project", required=True, help="The Google Cloud project that it will run in.")
@json_option
def spec(pipeline: str, run_id: str, project: str, as_json: bool) -> None:
    """Compile a training run of PIPELINE to a Vertex AI pipeline job, and write it to the run's vertex.json."""
    pipeline_folder(pipeline)
    storage = pipeline_storage(pipeline)
    begun = read_run(storage, run_id)
    with code_of(begun, storage):
        from ml.tfx.vertex_run import write_job

        name, parameters = write_job(begun, project)
    show({"run": begun.run, "spec": name, "parameters": parameters}, as_json=as_json, text=storage.uri(name))


@click.command("run-node")
@click.argument("pipeline")
@click.option("--node", required=True, help="The component's id, as in graph.json.")
@click.option("--run-id", required=True, help="Any text; the same for all nodes of a run.")
@window_option
@settings_option
@json_option
def run_node(
    pipeline: str, node: str, run_id: str, window: str | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Run one component of a training run of PIPELINE. A repeat after success changes nothing."""
    with _started(pipeline, run_id, window, overrides) as begun:
        from ml.tfx.running import local_run

        note(f"{node}: {_told(begun)}")
        result = local_run(begun).run_node(node)
    show(
        {"node": result.node, "state": result.state, "execution": result.execution},
        as_json=as_json,
        text=f"{result.node}: {result.state} in {result.seconds:.1f} s (execution {result.execution})",
    )


@click.command()
@click.argument("pipeline")
@click.option("--run-id", help="Any text; a repeat with the same one takes up the run. Default: from the time.")
@window_option
@settings_option
@revision_option
@_reason_option
@json_option
def train(
    pipeline: str,
    run_id: str | None,
    window: str | None,
    overrides: tuple[str, ...],
    revision: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Run all components of a training run of PIPELINE, in this process."""
    run_id = run_id or f"train {datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S.%f}"
    with _started(pipeline, run_id, window, overrides, reason=reason, revision=revision) as begun:
        from ml.tfx.outcome import run_outcome
        from ml.tfx.running import local_run

        note(_told(begun))
        compiled = local_run(begun)
        for node in compiled.nodes:
            result = compiled.run_node(node)
            note(f"{result.node}: {result.state} in {result.seconds:.1f} s")
    outcome = run_outcome(pipeline, pipeline_storage(pipeline), begun.run)
    comparison = read_comparison(pipeline_storage(pipeline), begun.run)
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in outcome.metrics.items())
    why = f". {comparison.why}" if comparison else ""
    show(
        {
            "run": begun.run,
            "blessed": outcome.blessed,
            "pushed": outcome.pushed,
            "metrics": outcome.metrics,
            "comparison": comparison.model_dump(mode="json") if comparison else None,
        },
        as_json=as_json,
        text=f"run {begun.run}: {'blessed' if outcome.blessed else 'not blessed'} ({metrics}){why}",
    )


@contextlib.contextmanager
def _started(
    pipeline: str, run_id: str, window: str | None, overrides: Sequence[str], **why: Any
) -> Iterator[TrainingRun]:
    """The run, with its code in place."""
    begun = _start(pipeline, run_id, window, overrides, **why)
    if begun.target != "local":
        raise SettingsError(
            f"run {begun.run} has target {begun.target}, which Airflow submits: give --set target=local to run it here"
        )
    with code_of(begun, pipeline_storage(pipeline)):
        yield begun


def _start(pipeline: str, run_id: str, window: str | None, overrides: Sequence[str], **why: Any) -> TrainingRun:
    pipeline_folder(pipeline)  # a pipeline that doesn't exist is told before an empty storage is
    spans = windows.parse(window) if window else None
    begun = start_run(pipeline, pipeline_storage(pipeline), run_id, spans, given_settings(overrides), **why)
    if begun.lost_classes:
        note(
            f"warning: window {windows.format(begun.window)} has no example to train on of "
            f"{', '.join(map(repr, begun.lost_classes))}, which version {begun.champion} knows: unless "
            "training.may_lose_classes names them, a person has to confirm the release"
        )
    return begun


def _told(begun: TrainingRun) -> str:
    code = f"revision {begun.revision[:12]}" if begun.revision else f"{INSTALLED} code"
    line = f"run {begun.run}, window {windows.format(begun.window)}, {code}, target {begun.target}"
    if begun.left_out is None or not begun.left_out.total:
        return line
    return (
        f"{line}; the window leaves out {begun.left_out.total} examples that a newer span holds again: {begun.left_out}"
    )
