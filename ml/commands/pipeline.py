"""The commands that make a pipeline ready: its schema, and its compiled graph."""

from __future__ import annotations

from pathlib import Path

import click

from ml import windows
from ml.commands.arguments import window_option
from ml.commands.output import note
from ml.errors import ConflictError, SettingsError


@click.group()
def schema() -> None:
    """The reviewed schema of a pipeline's examples."""


@schema.command("infer")
@click.argument("pipeline")
@window_option
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
