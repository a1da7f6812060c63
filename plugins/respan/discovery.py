"""The pipelines that get DAGs, and what is wrong with those that don't."""

from __future__ import annotations

from airflow.sdk import get_parsing_context

from ml.errors import RespanError
from ml.graph import graph_source, read_graph
from ml.home import pipeline_names
from ml.settings import Settings, load_settings
from respan.names import dag_id


def usable_pipelines(life_stage: str) -> list[Settings]:
    """The settings of each pipeline that gets a DAG for ``life_stage``: those with valid settings and a compiled graph.

    A task's process needs one DAG of the file only, and gets one pipeline only.
    """
    wanted = get_parsing_context().dag_id
    usable = []
    for name in pipeline_names():
        if wanted not in (None, dag_id(name, life_stage)):
            continue
        try:
            settings = load_settings(name)
            read_graph(name)
        except RespanError:
            continue  # told by problems()
        usable.append(settings)
    return usable


def problems() -> list[str]:
    """What keeps pipelines from having DAGs, or makes those DAGs outdated: one line each."""
    found = []
    for name in pipeline_names():
        try:
            settings = load_settings(name)
            graph = read_graph(name)
            if graph.source != graph_source(settings):
                found.append(f"pipeline {name}: its compiled graph is outdated; run: python -m ml compile {name}")
        except RespanError as error:
            found.append(f"pipeline {name} has no DAGs: {error}")
    return found
