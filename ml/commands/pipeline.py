"""The commands around TFX: the schema, the compiled graph, one node of a run, and a whole run."""

from __future__ import annotations

import click

from ml.commands.output import json_option, note, show
from ml.errors import SettingsError


@click.command("compile")
@click.argument("pipeline")
@click.option("--check", is_flag=True, help="Write nothing; fail if graph.json is not what would be written.")
def compile_(pipeline: str, check: bool) -> None:
    """Write PIPELINE's graph.json, which Airflow draws the training DAG from."""
    from ml.graph import graph_file, read_graph
    from ml.settings import load_settings
    from ml.tfx.logs import quiet

    settings = load_settings(pipeline)
    quiet()
    from ml.tfx.compilation import compile_graph

    graph = compile_graph(settings)
    file = graph_file(pipeline)
    if check:
        if read_graph(pipeline) != graph:
            raise SettingsError(f"{file} is stale; run: python -m ml compile {pipeline}")
        note(f"{file} is up to date")
        return
    file.write_bytes(graph.to_json())
    note(f"wrote {file}: {len(graph.nodes)} nodes")
