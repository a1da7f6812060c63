"""The commands around TFX: the schema, the compiled graph, one node of a run, and a whole run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ml import windows
from ml.commands.output import json_option, note, show
from ml.errors import ConflictError, SettingsError

F = TypeVar("F", bound=Callable[..., Any])


def _window_option(function: F) -> F:
    return click.option("--window", help="The spans to read, such as 9,10. Default: the newest, as the settings say.")(
        function
    )


def _settings_option(function: F) -> F:
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="For this run only, another value of a setting, such as training.epochs=3. Repeatable.",
    )(function)


@click.group()
def schema() -> None:
    """The reviewed schema of a pipeline's examples."""


@schema.command("infer")
@click.argument("pipeline")
@_window_option
@click.option("--overwrite", is_flag=True, help="Replace the schema that is there.")
def infer(pipeline: str, window: str | None, overwrite: bool) -> None:
    """Write PIPELINE's first schema.pbtxt from a window's examples, for you to review and commit."""
    from ml.home import pipeline_folder, pipeline_storage
    from ml.runs import complete_window
    from ml.settings import load_settings

    file = pipeline_folder(pipeline) / "schema.pbtxt"
    if file.exists() and not overwrite:
        raise ConflictError(f"{file} exists and may have been reviewed; give --overwrite to replace it")
    storage = pipeline_storage(pipeline)
    spans = complete_window(storage, pipeline, windows.parse(window) if window else None, load_settings(pipeline))
    from ml.tfx.schema import infer_schema

    file.write_text(infer_schema(storage, spans), "utf-8")
    note(f"wrote {file} from window {windows.format(spans)}: review it before you train")


@click.command("compile")
@click.argument("pipeline")
@click.option("--check", is_flag=True, help="Leave graph.json as it is; fail if it is not what would be written.")
@click.option("--graph", type=click.Path(path_type=Path), help="Write the graph there, not to PIPELINE's graph.json.")
@click.option("--spec", type=click.Path(path_type=Path), help="Write the Vertex AI pipeline there, too (JSON).")
def compile_(pipeline: str, check: bool, graph: Path | None, spec: Path | None) -> None:
    """Write PIPELINE's graph.json, which Airflow draws the training DAG from."""
    from ml.graph import graph_file, read_graph
    from ml.settings import load_settings

    settings = load_settings(pipeline)
    from ml.tfx.compilation import compile_graph

    compiled = compile_graph(settings)
    if spec is not None:
        from ml.tfx.vertex_spec import compile_spec

        _write(spec, compile_spec(settings))
    file = graph or graph_file(pipeline)
    if check:
        if read_graph(pipeline) != compiled:
            raise SettingsError(f"{graph_file(pipeline)} is stale; run: python -m ml compile {pipeline}")
        note(f"{graph_file(pipeline)} is up to date")
        return
    _write(file, compiled.to_json())
    note(f"wrote {file}: {len(compiled.nodes)} nodes")


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise SettingsError(f"can't write {file}: {error.strerror}") from error


@click.command("run-node")
@click.argument("pipeline")
@click.option("--node", required=True, help="The component's id, as in graph.json.")
@click.option("--run-id", required=True, help="Any text; the same for all nodes of a run.")
@_window_option
@_settings_option
@json_option
def run_node(
    pipeline: str, node: str, run_id: str, window: str | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Run one component of a training run of PIPELINE. A repeat after success changes nothing."""
    run = _start(pipeline, run_id, window, overrides)

    from ml.tfx.running import local_run

    note(f"{node}: run {run.run}, window {windows.format(run.window)}")
    result = local_run(run).run_node(node)
    show(
        {"node": result.node, "state": result.state, "execution": result.execution},
        as_json=as_json,
        text=f"{result.node}: {result.state} in {result.seconds:.1f} s (execution {result.execution})",
    )


@click.command()
@click.argument("pipeline")
@click.option("--run-id", help="Any text; a repeat with the same one takes up the run. Default: from the time.")
@_window_option
@_settings_option
@click.option("--reason", help="Why; recorded with the run and its release.  [default: started by hand]")
@json_option
def train(
    pipeline: str,
    run_id: str | None,
    window: str | None,
    overrides: tuple[str, ...],
    reason: str | None,
    as_json: bool,
) -> None:
    """Run all components of a training run of PIPELINE, in this process."""
    from datetime import datetime, timezone

    from ml.home import pipeline_storage

    run_id = run_id or f"train {datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S.%f}"
    run = _start(pipeline, run_id, window, overrides, reason)

    from ml.tfx.outcome import run_outcome
    from ml.tfx.running import local_run

    note(f"run {run.run}, window {windows.format(run.window)}")
    compiled = local_run(run)
    for node in compiled.nodes:
        result = compiled.run_node(node)
        note(f"{result.node}: {result.state} in {result.seconds:.1f} s")
    outcome = run_outcome(pipeline, pipeline_storage(pipeline), run.run)
    told = ", ".join(f"{name} {value:.4f}" for name, value in outcome.metrics.items())
    show(
        {"run": run.run, "blessed": outcome.blessed, "pushed": outcome.pushed, "metrics": outcome.metrics},
        as_json=as_json,
        text=f"run {run.run}: {'blessed' if outcome.blessed else 'not blessed'} ({told})",
    )


def _start(
    pipeline: str, run_id: str, window: str | None, overrides: tuple[str, ...], reason: str | None = None
) -> Any:
    from ml.home import pipeline_storage
    from ml.runs import start_run

    given = {}
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not key:
            raise SettingsError(f"--set {override!r}: write KEY=VALUE, such as training.epochs=3")
        given[key] = value
    spans = windows.parse(window) if window else None
    return start_run(pipeline, pipeline_storage(pipeline), run_id, spans, given, reason=reason)
